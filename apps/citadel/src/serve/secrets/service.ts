import type { ServerDuplexStream } from '@grpc/grpc-js'
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  type DiscoveryRequest,
  DiscoveryResponse,
} from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { type SecretDiscoveryServiceServer, SecretDiscoveryServiceService } from '@weft/contracts/envoy/service/secret/v3/sds'
import { WeftError } from '@weft/service/errors'
import { toServiceError } from '@weft/service/grpc'
import type { Logger } from '@weft/service/logger'
import { Counter, Gauge, type Registry } from '@weft/service/metrics'
import type { Attested } from '../../attest/attestation.ts'
import { secretNames, secretTypeUrl, trustSecret, type VersionedSecret } from './secret.ts'
import { makeIdentity, SecretSubscription, type SubscriptionOptions } from './subscription.ts'

export interface SecretServiceOptions extends SubscriptionOptions {
  logger: Logger
  registry: Registry
  /** Most streams that may be open at once. */
  maxStreams: number
}

/** What both stream variants do with a request, over a subscription. */
interface Variant<Request, Response> {
  name: string
  /** Takes a request in; gives names that nobody serves. */
  request(request: Request, subscription: SecretSubscription, sent: Sent): { unknown: string[]; nack: string | undefined }
  response(secrets: VersionedSecret[], nonce: string): Response
  /** How the variant tells of names that nobody serves, if it can. */
  missing?(names: string[], nonce: string): Response
}

/** What went over the stream last. */
interface Sent {
  nonce: string
}

/** Most names one request may carry; Envoy asks for two. */
const maxNames = 100

const stateOfTheWorld: Variant<DiscoveryRequest, DiscoveryResponse> = {
  name: 'stream',
  request({ resourceNames, responseNonce, errorDetail, typeUrl }, subscription, sent) {
    checkRequest(typeUrl, resourceNames)
    // A request that answers an older response is followed by one that answers the newest.
    if (sent.nonce !== '' && responseNonce !== sent.nonce) return { unknown: [], nack: undefined }
    return { unknown: subscription.replace(resourceNames), nack: errorDetail?.message }
  },
  response: (secrets, nonce) =>
    DiscoveryResponse.fromPartial({
      versionInfo: secrets.map(({ version }) => version).join('.'),
      resources: secrets.map(({ resource }) => resource),
      typeUrl: secretTypeUrl,
      nonce,
    }),
}

const delta: Variant<DeltaDiscoveryRequest, DeltaDiscoveryResponse> = {
  name: 'delta',
  request({ resourceNamesSubscribe, resourceNamesUnsubscribe, errorDetail, typeUrl }, subscription) {
    checkRequest(typeUrl, resourceNamesSubscribe)
    subscription.unsubscribe(resourceNamesUnsubscribe)
    return { unknown: subscription.subscribe(resourceNamesSubscribe), nack: errorDetail?.message }
  },
  response: (secrets, nonce) =>
    DeltaDiscoveryResponse.fromPartial({
      systemVersionInfo: secrets.map(({ version }) => version).join('.'),
      resources: secrets.map(({ name, version, resource }) => ({ name, version, resource })),
      typeUrl: secretTypeUrl,
      nonce,
    }),
  missing: (removedResources, nonce) => DeltaDiscoveryResponse.fromPartial({ removedResources, typeUrl: secretTypeUrl, nonce }),
}

/**
 * Envoy's secret discovery service, v3: `default` is the caller's key and chain, `ROOTCA` the trust bundle. The caller is
 * attested once, when its stream opens; a secret that changes is pushed.
 */
export function secretService(options: SecretServiceOptions) {
  const { desk, policy, authority, logger, registry, maxStreams } = options
  let streams = 0
  new Gauge({
    name: 'weft_citadel_sds_streams',
    help: 'Open SDS streams',
    registers: [registry],
    collect() {
      this.set(streams)
    },
  })
  const pushes = new Counter({
    name: 'weft_citadel_sds_pushes_total',
    help: 'Secrets sent, by name',
    labelNames: ['name'],
    registers: [registry],
  })
  const answers = new Counter({
    name: 'weft_citadel_sds_answers_total',
    help: 'What proxies answered to secrets: ack or nack',
    labelNames: ['answer'],
    registers: [registry],
  })

  const serve = async <Request, Response>(call: ServerDuplexStream<Request, Response>, variant: Variant<Request, Response>) => {
    const end = (thrown: unknown): void => void call.emit('error', toServiceError(thrown))
    if (streams >= maxStreams) {
      return end(new WeftError('resource_exhausted', `${streams} SDS streams are open already`, { hint: 'try again later' }))
    }
    streams += 1
    const closing: (() => void)[] = []
    let closed = false
    const close = (): void => {
      if (closed) return
      closed = true
      streams -= 1
      for (const step of closing) step()
    }
    call.on('cancelled', close)
    call.on('error', close)
    call.on('end', () => {
      close()
      call.end()
    })
    try {
      const caller = await desk.attest('sds', call)
      if (closed) return
      const sent: Sent = { nonce: '' }
      let responses = 0
      const write = (make: (nonce: string) => Response): void => {
        responses += 1
        sent.nonce = String(responses)
        call.write(make(sent.nonce))
      }
      const subscription = new SecretSubscription(
        options,
        caller,
        (secrets) => {
          for (const { name } of secrets) pushes.inc({ name })
          write((nonce) => variant.response(secrets, nonce))
        },
        (error) => {
          close()
          end(error)
        },
      )
      closing.push(() => subscription.close())
      call.on('data', (request: Request) => {
        try {
          const { unknown, nack } = variant.request(request, subscription, sent)
          if (sent.nonce !== '') answers.inc({ answer: nack === undefined ? 'ack' : 'nack' })
          tellProblems(caller, unknown, nack)
          const { missing } = variant
          if (unknown.length > 0 && missing !== undefined) write((nonce) => missing(unknown, nonce))
        } catch (thrown) {
          close()
          end(thrown)
        }
      })
    } catch (thrown) {
      close()
      end(thrown)
    }
  }

  const tellProblems = (caller: Attested, unknown: string[], nack: string | undefined): void => {
    const identity = caller.identity.uri
    if (nack !== undefined) logger.warn({ identity, reason: nack.slice(0, 500) }, 'a proxy refused its secret')
    if (unknown.length > 0) {
      const names = unknown.map((name) => name.slice(0, 100)).join(', ')
      logger.warn({ identity, names }, `unknown secrets asked for: ${secretNames.identity} and ${secretNames.trust} are served`)
    }
  }

  const implementation: SecretDiscoveryServiceServer = {
    streamSecrets: (call) => void serve(call, stateOfTheWorld),
    deltaSecrets: (call) => void serve(call, delta),
    fetchSecrets(call, callback) {
      const fetch = async (): Promise<DiscoveryResponse> => {
        const { resourceNames, typeUrl } = call.request
        checkRequest(typeUrl, resourceNames)
        const caller = await desk.attest('sds', call)
        const secrets: VersionedSecret[] = []
        for (const name of new Set(resourceNames)) {
          if (name === secretNames.trust) secrets.push(trustSecret(authority.get().bundlePem))
          if (name === secretNames.identity) secrets.push((await makeIdentity(desk, policy, caller)).secret)
        }
        return stateOfTheWorld.response(secrets, '')
      }
      fetch().then(
        (response) => callback(null, response),
        (error: unknown) => callback(toServiceError(error)),
      )
    },
  }
  return { definition: SecretDiscoveryServiceService, implementation }
}

function checkRequest(typeUrl: string, names: readonly string[]): void {
  if (typeUrl !== '' && typeUrl !== secretTypeUrl) {
    throw new WeftError('invalid_argument', `${typeUrl.slice(0, 200)} is not served here`, { hint: `ask for ${secretTypeUrl}` })
  }
  if (names.length > maxNames) {
    throw new WeftError('invalid_argument', `${names.length} secrets in one request are too many`, {
      hint: `ask for ${maxNames} at most`,
    })
  }
}
