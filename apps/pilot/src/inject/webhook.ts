import type { SecureContextOptions } from 'node:tls'
import type { IdentityMaterial } from '@weft/identity/certificate-holder'
import type { Identity } from '@weft/identity/client'
import type { InjectionSettings } from '@weft/inject/settings'
import { WeftError } from '@weft/service/errors'
import { parseAddress } from '@weft/service/flags'
import type { Lifecycle } from '@weft/service/lifecycle'
import type { Logger } from '@weft/service/logger'
import { Counter, type Registry } from '@weft/service/metrics'
import fastify from 'fastify'
import { answerReview, pathEnvironment } from './admission.ts'
import { answerValidation } from './validation.ts'

export interface WebhookOptions {
  /** `host:port`; port 0 takes a free one. */
  address: string
  /** Whose certificate the API server is shown; it has to carry the name of Pilot's Service. */
  identity: Pick<Identity, 'ready' | 'onChange'>
  /** How pods are injected now. */
  settings: () => Promise<InjectionSettings>
  lifecycle: Lifecycle
  logger: Logger
  registry: Registry
}

/** The largest review that is read: etcd holds no larger object. */
const mostBytes = 6 << 20

/**
 * Serves the injection webhook over HTTPS, with Pilot's own certificate of Citadel: connections made after a renewal get the new
 * one. Starts to listen when there is a certificate; gives the URL.
 */
export async function startWebhook({
  address,
  identity,
  settings,
  lifecycle,
  logger,
  registry,
}: WebhookOptions): Promise<string> {
  const reviews = new Counter({
    name: 'weft_pilot_injections_total',
    help: 'Pods that the injection webhook was asked about, by outcome',
    labelNames: ['outcome'],
    registers: [registry],
  })
  const server = fastify({
    https: tlsOptions(await identity.ready()),
    logger: false,
    bodyLimit: mostBytes,
    forceCloseConnections: true,
  })
  lifecycle.onStop(
    'following the certificate',
    identity.onChange((material) => server.server.setSecureContext(tlsOptions(material))),
  )
  for (const path of ['/inject', '/inject/*']) {
    server.post(path, async (request, reply) => {
      const environment = pathEnvironment(new URL(request.url, 'https://webhook').pathname)
      const { answer, outcome, told } = answerReview(request.body, await settings(), environment)
      reviews.inc({ outcome })
      logger[outcome === 'refused' ? 'warn' : 'debug']({ outcome }, `injection: ${told}`)
      return reply.send(answer)
    })
  }
  server.post('/validate', async (request, reply) => reply.send(answerValidation(request.body)))
  server.setErrorHandler(async (thrown: unknown, _request, reply) => {
    const error = WeftError.from(thrown)
    const own = thrown instanceof Error && 'statusCode' in thrown && typeof thrown.statusCode === 'number'
    const status = own ? Number(thrown.statusCode) : error.code === 'invalid_argument' ? 400 : 500
    reviews.inc({ outcome: 'failed' })
    logger.error({ err: thrown }, 'the injection webhook failed')
    return reply.code(status).send({ error: error.describe() })
  })
  const { host, port } = parseAddress(address)
  const url = await server.listen({ host, port }).catch((cause: unknown) => {
    throw new WeftError('unavailable', `the injection webhook cannot listen on ${address}: ${WeftError.from(cause).message}`, {
      hint: 'choose another address with --webhook-address',
      cause,
    })
  })
  lifecycle.onStop('injection webhook', () => server.close())
  return url
}

function tlsOptions({ privateKeyPem, chainPem }: IdentityMaterial): SecureContextOptions {
  return { key: privateKeyPem, cert: chainPem, minVersion: 'TLSv1.2' }
}
