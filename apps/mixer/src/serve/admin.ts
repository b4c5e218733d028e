import type { FastifyInstance } from 'fastify'
import type { MixerConfig } from '../config/mixer-config.ts'

/** `GET /v1/config`: every object with its place, whether it is in force, and what is wrong with it. */
export function adminRoutes(server: FastifyInstance, config: MixerConfig): void {
  server.get('/v1/config', async () => config.status())
}
