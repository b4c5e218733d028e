import { randomBytes } from 'node:crypto'
import { serve } from '../service.ts'
import { upstreamFromEnv } from '../upstream.ts'
import { productPageServer } from './server.ts'

const server = productPageServer({
  details: upstreamFromEnv('details'),
  reviews: upstreamFromEnv('reviews'),
  ratings: upstreamFromEnv('ratings'),
  sessionSecret: process.env['SESSION_SECRET'] || randomBytes(32).toString('base64url'),
})
await serve('productpage', server)
