import { serve } from '../service.ts'
import { upstreamFromEnv } from '../upstream.ts'
import { reviewsServer } from './server.ts'

const { env } = process
const server = reviewsServer({
  ratings: env['ENABLE_RATINGS'] === 'true' ? upstreamFromEnv('ratings') : null,
  starColor: env['STAR_COLOR'] || 'red',
  podName: env['HOSTNAME'] ?? '',
  clusterName: env['CLUSTER_NAME'] ?? '',
})
await serve('reviews', server)
