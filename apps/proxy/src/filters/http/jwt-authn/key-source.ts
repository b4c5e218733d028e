import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { RetryPolicy } from '@weft/contracts/envoy/config/core/v3/base'
import type { JwtProvider } from '@weft/contracts/envoy/extensions/filters/http/jwt_authn/v3/config'
import { WeftError } from '@weft/service/errors'
import type { Counter } from '../../../observe/stats.ts'
import { httpGet } from '../../../upstream/http-client.ts'
import type { FilterContext } from '../filter.ts'
import { parseJwks, type VerificationKey } from './jwks.ts'
import { type JwtStatus, jwtStatus } from './status.ts'

/** Where a provider's keys come from. */
export interface KeySource {
  /** The keys when they are at hand; null when they have to be waited for. */
  current(): readonly VerificationKey[] | null
  /** The keys, fetched when need be; or why there are none. Never throws. */
  load(): Promise<readonly VerificationKey[] | JwtStatus>
  close(): void
}

const defaultCacheMs = 10 * 60_000
const defaultRefetchMs = 1_000
/** Key sets are small; a larger answer is refused. */
const maxJwksBytes = 1 << 20

export interface JwksCounters {
  success: Counter
  failed: Counter
}

/** The key source that a provider's configuration names. */
export function createKeySource(provider: JwtProvider, name: string, context: FilterContext, counters: JwksCounters): KeySource {
  const source = provider.jwksSourceSpecifier
  const path = `providers[${name}]`
  if (source?.$case === 'remoteJwks') return remote(source.value, path, context, counters)
  if (source?.$case !== 'localJwks') return context.fail(path, 'has no jwks source')
  const keys = parseJwks(localText(source.value.specifier, path, context))
  if (typeof keys === 'string') return context.fail(`${path}.local_jwks`, keys)
  return { current: () => keys, load: async () => keys, close: () => {} }
}

type LocalSource = Extract<JwtProvider['jwksSourceSpecifier'], { $case: 'localJwks' }>['value']['specifier']

function localText(source: LocalSource, path: string, context: FilterContext): string {
  if (source?.$case === 'inlineString') return source.value
  if (source?.$case === 'inlineBytes') return Buffer.from(source.value).toString('utf8')
  if (source?.$case === 'environmentVariable') return process.env[source.value] ?? ''
  if (source?.$case !== 'filename') return context.fail(`${path}.local_jwks`, 'names no source')
  try {
    return readFileSync(source.value, 'utf8')
  } catch (error) {
    return context.fail(`${path}.local_jwks.filename`, `cannot be read: ${WeftError.from(error).message}`)
  }
}

type Remote = Extract<JwtProvider['jwksSourceSpecifier'], { $case: 'remoteJwks' }>['value']

function remote(
  { httpUri, cacheDuration, asyncFetch, retryPolicy }: Remote,
  path: string,
  context: FilterContext,
  counters: JwksCounters,
): KeySource {
  if (httpUri?.httpUpstreamType === undefined) return context.fail(`${path}.remote_jwks.http_uri`, 'names no cluster')
  const cluster = httpUri.httpUpstreamType.value
  if (!/^https?:\/\//i.test(httpUri.uri))
    return context.fail(`${path}.remote_jwks.http_uri.uri`, `has an invalid URI: '${httpUri.uri}'`)
  const backOff = retryPolicy?.retryBackOff
  if (backOff?.maxInterval !== undefined && (milliseconds(backOff.maxInterval) ?? 0) < (milliseconds(backOff.baseInterval) ?? 0))
    return context.fail(
      `${path}.remote_jwks.retry_policy.retry_back_off`,
      'max_interval must be greater than or equal to the base_interval',
    )
  const timeoutMs = milliseconds(httpUri.timeout) ?? 5_000
  const cacheMs = milliseconds(cacheDuration) ?? defaultCacheMs
  const refetchMs = milliseconds(asyncFetch?.failedRefetchDuration) ?? defaultRefetchMs
  const { services } = context
  let keys: readonly VerificationKey[] | null = null
  let expires = 0
  let pending: Promise<readonly VerificationKey[] | JwtStatus> | null = null
  let timer: NodeJS.Timeout | null = null

  const fetchKeys = async (): Promise<readonly VerificationKey[] | JwtStatus> => {
    if (services === null) return jwtStatus.jwksFetchFails
    let answer: HttpAnswer
    try {
      const get = () => httpGet(services, cluster, httpUri.uri, { timeoutMs, maxBytes: maxJwksBytes, headers: fetchHeaders() })
      answer = await retried(get, retryPolicy)
    } catch (error) {
      services.log('warn', `jwt_authn: fetching ${httpUri.uri} failed: ${WeftError.from(error).message}`)
      counters.failed.inc()
      return jwtStatus.jwksFetchFails
    }
    if (answer.status !== 200) {
      services.log('warn', `jwt_authn: fetching ${httpUri.uri} was answered with status ${answer.status}`)
      counters.failed.inc()
      return jwtStatus.jwksFetchFails
    }
    const parsed = parseJwks(answer.body.toString())
    if (typeof parsed === 'string') {
      services.log('warn', `jwt_authn: the key set at ${httpUri.uri} is of no use: ${parsed}`)
      counters.failed.inc()
      return jwtStatus.jwksFetchFails
    }
    counters.success.inc()
    keys = parsed
    expires = Date.now() + cacheMs
    return parsed
  }
  const load = (): Promise<readonly VerificationKey[] | JwtStatus> => {
    pending ??= fetchKeys().finally(() => {
      pending = null
    })
    return pending
  }
  // With async_fetch the keys are there before the first request and are renewed 5 s before they expire.
  const refresh = async (): Promise<void> => {
    const result = await load()
    const waitMs = typeof result === 'string' ? refetchMs : Math.max(1_000, cacheMs - 5_000)
    if (!closed) timer = setTimeout(() => void refresh(), waitMs).unref()
  }
  let closed = false
  if (asyncFetch !== undefined && services !== null) void refresh()
  return {
    current: () => (asyncFetch !== undefined || Date.now() < expires ? keys : null),
    load,
    close: () => {
      closed = true
      if (timer !== null) clearTimeout(timer)
    },
  }
}

type HttpAnswer = Awaited<ReturnType<typeof httpGet>>

/** Asks again after a failure or a 5xx, as often as the policy says, later each time (full jitter, as Envoy's). */
async function retried(get: () => Promise<HttpAnswer>, policy: RetryPolicy | undefined): Promise<HttpAnswer> {
  const retries = policy === undefined ? 0 : (policy.numRetries ?? 1)
  const baseMs = milliseconds(policy?.retryBackOff?.baseInterval) ?? 200
  const maxMs = milliseconds(policy?.retryBackOff?.maxInterval) ?? baseMs * 10
  for (let tries = 0; ; tries++) {
    try {
      const answer = await get()
      if (answer.status < 500 || tries >= retries) return answer
    } catch (error) {
      if (tries >= retries) throw error
    }
    const ceilingMs = Math.min(maxMs, baseMs * 2 ** Math.min(tries, 20))
    await new Promise<void>((resolve) => setTimeout(resolve, Math.random() * ceilingMs))
  }
}

/** Some key servers refuse clients without a known name; Envoy's is taken. */
function fetchHeaders(): Record<string, string> {
  const own = Object.values(networkInterfaces())
    .flat()
    .find((one) => one !== undefined && one.family === 'IPv4' && !one.internal)
  return { 'user-agent': 'Go-browser', ...(own === undefined ? {} : { 'x-forwarded-for': own.address }) }
}

function milliseconds(duration: { seconds: number; nanos: number } | undefined): number | undefined {
  return duration === undefined ? undefined : duration.seconds * 1000 + duration.nanos / 1e6
}
