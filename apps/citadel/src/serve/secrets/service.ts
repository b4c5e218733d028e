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
import { Acknowledgements, type OpenStreams } from './streams.ts'
import { makeIdentity, SecretSubscription, type SubscriptionOptions } from './subscription.ts'

export interface SecretServiceOptions extends SubscriptionOptions {
  logger: Logger
  registry: Registry
  /** Where the open streams are known; at most `maxStreams`. */
  streams: OpenStreams
  maxStreams: number
}

/** What both stream variants do with a request, over a subscription. */
interface Variant<Request, Response> {
  name: string
  /** The response that a request answers, and why it was refused if it was. */
  answer(request: Request): { nonce: string; refusal: string | undefined }
  /** Takes in what a request asks for; gives names that nobody serves. */
  request(request: Request, subscription: SecretSubscription, lastNonce: string): string[]
  response(secrets: VersionedSecret[], nonce: string): Response
  /** How the variant tells of names that nobody serves, if it can. */
  missing?(names: string[], nonce: string): Response
}

/** Most names one request may carry; Envoy asks for two. */
const maxNames = 100

const stateOfTheWorld: Variant<DiscoveryRequest, DiscoveryResponse> = {
  name: 'stream',
  answer: ({ responseNonce, errorDetail }) => ({ nonce: responseNonce, refusal: errorDetail?.message }),
  request({ resourceNames, responseNonce, typeUrl }, subscription, lastNonce) {
    checkRequest(typeUrl, resourceNames)
    // A request that answers an older response is followed by one that answers the newest.
    return lastNonce !== '' && responseNonce !== lastNonce ? [] : subscription.replace(resourceNames)
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
  answer: ({ responseNonce, errorDetail }) => ({ nonce: responseNonce, refusal: errorDetail?.message }),
  request({ resourceNamesSubscribe, resourceNamesUnsubscribe, typeUrl }, subscription) {
    checkRequest(typeUrl, resourceNamesSubscribe)
    subscription.unsubscribe(resourceNamesUnsubscribe)
    return subscription.subscribe(resourceNamesSubscribe)
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
  const { desk, policy, authority, logger, registry, streams, maxStreams } = options
  new Gauge({
    name: 'weft_citadel_sds_streams',
    help: 'Open SDS streams',
    registers: [registry],
    collect() {
      this.set(streams.size)
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
    if (streams.size >= maxStreams) {
      return end(new WeftError('resource_exhausted', `${streams.size} SDS streams are open already`, { hint: 'try again later' }))
    }
    const closing: (() => void)[] = []
    let closed = false
    const close = (): void => {
      if (closed) return
      closed = true
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
      const acknowledgements = new Acknowledgements()
      let lastNonce = ''
      let responses = 0
      const write = (secrets: VersionedSecret[], make: (nonce: string) => Response): void => {
        responses += 1
        lastNonce = String(responses)
        acknowledgements.sent(lastNonce, secrets)
        call.write(make(lastNonce))
      }
      const subscription = new SecretSubscription(
        options,
        caller,
        (secrets) => {
          for (const { name } of secrets) pushes.inc({ name })
          write(secrets, (nonce) => variant.response(secrets, nonce))
        },
        (error) => {
          close()
          end(error)
        },
      )
      const leave = streams.add({
        identity: caller.identity.uri,
        unsettled: () => (subscription.isCurrent ? acknowledgements.open() : 'the newest secret was not sent yet'),
      })
      closing.push(() => {
        leave()
        subscription.close()
      })
      call.on('data', (request: Request) => {
        try {
          const { nonce, refusal } = variant.answer(request)
          if (acknowledgements.answered(nonce, refusal?.slice(0, 500)))
            answers.inc({ answer: refusal === undefined ? 'ack' : 'nack' })
          const unknown = variant.request(request, subscription, lastNonce)
          tellProblems(caller, unknown, refusal)
          const { missing } = variant
          if (unknown.length > 0 && missing !== undefined) write([], (next) => missing(unknown, next))
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
          if (name === secretNames.identity) secrets.push((await makeIdentity(desk, policy, caller, 'sds-fetch')).secret)
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
