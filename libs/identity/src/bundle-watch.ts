import { setTimeout as delay } from 'node:timers/promises'
import { type ChannelCredentials, type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { DiscoveryRequest, type DiscoveryResponse } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { SecretDiscoveryServiceClient } from '@weft/contracts/envoy/service/secret/v3/sds'
import { clientOptions } from '@weft/service/grpc'
import type { Logger } from '@weft/service/logger'
import { retryDelayMs } from './rotation.ts'

export interface BundleWatchOptions {
  citadelAddress: string
  credentials: ChannelCredentials
  /** Takes a trust bundle (PEM); what it throws refuses the bundle. */
  onBundle: (bundlePem: string) => void
  signal: AbortSignal
  logger: Logger
}

const typeUrl = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'

/**
 * Follows Citadel's trust bundle over SDS until `signal` aborts, so that a service takes part in a root rotation as proxies do: it
 * hears of a new root at once, and Citadel knows that it has. A stream that ends is opened again, with back-off.
 */
export async function watchTrustBundle({
  citadelAddress,
  credentials,
  onBundle,
  signal,
  logger,
}: BundleWatchOptions): Promise<void> {
  const client = new SecretDiscoveryServiceClient(citadelAddress, credentials, {
    ...clientOptions(),
    'grpc.ssl_target_name_override': 'citadel',
  })
  let failures = 0
  while (!signal.aborted) {
    const stream = client.streamSecrets()
    const cancel = (): void => stream.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    const ended = follow(stream, (bundlePem) => {
      failures = 0
      onBundle(bundlePem)
    })
    const error = await ended
    signal.removeEventListener('abort', cancel)
    if (signal.aborted) break
    logger.debug({ code: error?.code }, 'the stream of the trust bundle ended')
    await delay(retryDelayMs(failures, 500, 10_000), undefined, { signal }).catch(() => undefined)
    failures += 1
  }
  client.close()
}

/** Plays one stream to its end; gives the error that ended it. */
function follow(
  stream: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>,
  take: (bundlePem: string) => void,
): Promise<ServiceError | undefined> {
  return new Promise((resolve) => {
    let version = ''
    const request = (responseNonce: string, refusal?: string): void => {
      const errorDetail = refusal === undefined ? undefined : { code: status.INVALID_ARGUMENT, message: refusal, details: [] }
      stream.write(
        DiscoveryRequest.fromPartial({ typeUrl, resourceNames: ['ROOTCA'], versionInfo: version, responseNonce, errorDetail }),
      )
    }
    stream.on('data', ({ resources, versionInfo, nonce }: DiscoveryResponse) => {
      try {
        for (const { value } of resources) {
          const { name, type } = Secret.decode(value)
          const source = type?.$case === 'validationContext' ? type.value.trustedCa?.specifier : undefined
          if (name === 'ROOTCA' && source?.$case === 'inlineBytes') take(source.value.toString('utf8'))
        }
        version = versionInfo
        request(nonce)
      } catch (error) {
        request(nonce, error instanceof Error ? error.message : String(error))
      }
    })
    stream.on('error', resolve)
    stream.on('end', () => resolve(undefined))
    request('')
  })
}
