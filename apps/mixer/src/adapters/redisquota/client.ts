import { setTimeout as delay } from 'node:timers/promises'
import { WeftError } from '@weft/service/errors'
import { Cluster, type CommonRedisOptions, Redis, type RedisOptions } from 'ioredis'
import type { HandlerEnvironment } from '../../adapter.ts'

/** A command that takes longer is given up: a quota is asked for while a request waits. */
const COMMAND_TIMEOUT_MS = 500
const CONNECT_TIMEOUT_MS = 2_000
/** A handler opens after this time at the latest, connected or not: configuration does not wait for a Redis that is gone. */
const OPEN_WITHIN_MS = 500
const DEFAULT_PORT = 6379
const DEFAULT_SENTINEL_PORT = 26379

const common: CommonRedisOptions = {
  commandTimeout: COMMAND_TIMEOUT_MS,
  connectTimeout: CONNECT_TIMEOUT_MS,
  enableOfflineQueue: false,
  enableAutoPipelining: true,
  maxRetriesPerRequest: 0,
  lazyConnect: true,
  retryStrategy: (attempt) => Math.min(attempt * 50, 1_000),
}

export type Endpoint =
  | { type: 'standalone'; options: RedisOptions }
  | { type: 'sentinel'; options: RedisOptions }
  | { type: 'cluster'; nodes: { host: string; port: number }[]; options: RedisOptions }

/**
 * Reads where Redis is: `host:port`, `redis://user:password@host:port/db`, `rediss://…` for TLS,
 * `redis+sentinel://[password@]host:port,host:port/master-name[/db]`, `redis+cluster://[…@]host:port,host:port`
 * (`rediss+sentinel`, `rediss+cluster` with TLS). Throws `invalid_argument` for anything else; the message holds no password.
 */
export function parseRedisUrl(url: string): Endpoint {
  const match =
    /^(?:(?<scheme>rediss?(?:\+sentinel|\+cluster)?):\/\/)?(?:(?<auth>[^@/]*)@)?(?<hosts>[^/@\s]+)(?:\/(?<path>[^\s?]*))?$/.exec(
      url,
    )
  const { scheme = 'redis', auth, hosts = '', path = '' } = match?.groups ?? {}
  const sentinel = scheme.endsWith('+sentinel')
  const nodes = hosts.split(',').map((host) => parseHost(host, sentinel ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT))
  const first = nodes[0]
  if (match === null || first === undefined || nodes.some((node) => node === undefined)) throw invalidUrl('it is not one')
  const known = nodes.filter((node) => node !== undefined)

  const options: RedisOptions = { ...common, ...credentials(auth), ...(scheme.startsWith('rediss') ? { tls: {} } : {}) }
  if (scheme.endsWith('+cluster')) return { type: 'cluster', nodes: known, options }
  if (sentinel) {
    const [name = '', db = ''] = path.split('/')
    if (name === '') throw invalidUrl('the name of the master is missing')
    return { type: 'sentinel', options: { ...options, sentinels: known, name, ...database(db) } }
  }
  if (nodes.length > 1) throw invalidUrl('several hosts need redis+sentinel:// or redis+cluster://')
  return { type: 'standalone', options: { ...options, ...first, ...database(path) } }
}

function invalidUrl(reason: string): WeftError {
  return new WeftError('invalid_argument', `not a Redis URL: ${reason}`, {
    hint: 'write host:port, redis://host:port, rediss://host:port, redis+sentinel://host:port,…/name or redis+cluster://host:port,…',
  })
}

function parseHost(text: string, defaultPort: number): { host: string; port: number } | undefined {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[\w.-]+))(?::(?<port>\d{1,5}))?$/.exec(text)
  const host = match?.groups?.['v6'] ?? match?.groups?.['host']
  const port = match?.groups?.['port'] === undefined ? defaultPort : Number(match.groups['port'])
  return host === undefined || port > 65_535 ? undefined : { host, port }
}

function credentials(auth: string | undefined): Pick<RedisOptions, 'username' | 'password'> {
  if (auth === undefined || auth === '') return {}
  const [user = '', ...rest] = auth.split(':')
  if (rest.length === 0) return { password: decodeURIComponent(user) }
  return { ...(user === '' ? {} : { username: decodeURIComponent(user) }), password: decodeURIComponent(rest.join(':')) }
}

function database(text: string): { db?: number } {
  if (text === '') return {}
  if (!/^\d{1,5}$/.test(text)) throw invalidUrl(`'${text}' is not the number of a database`)
  return { db: Number(text) }
}

/** `redis at host:port`, without credentials. */
function describeEndpoint(endpoint: Endpoint): string {
  const { host, port } = endpoint.options
  switch (endpoint.type) {
    case 'standalone':
      return `Redis at ${host}:${port}`
    case 'sentinel':
      return `Redis '${endpoint.options.name}' of the sentinels`
    case 'cluster':
      return `the Redis cluster of ${endpoint.nodes.map((node) => `${node.host}:${node.port}`).join(', ')}`
  }
}

/**
 * A client that connects, and again whenever the connection is lost. Resolves after the first attempt, successful or
 * not, or after half a second: its handler's health tells which, now and later.
 */
export async function connectRedis(url: string, handler: HandlerEnvironment): Promise<Redis | Cluster> {
  const endpoint = parseRedisUrl(url)
  const client =
    endpoint.type === 'cluster'
      ? new Cluster(endpoint.nodes, {
          // Batches that a cluster cannot take are rejected where nobody can catch it, so commands go one by one.
          redisOptions: { ...endpoint.options, enableAutoPipelining: false },
          enableOfflineQueue: false,
          lazyConnect: true,
          clusterRetryStrategy: (attempt) => Math.min(attempt * 50, 1_000),
        })
      : new Redis(endpoint.options)
  const unhealthy = (reason: string): void =>
    handler.health(
      new WeftError('unavailable', `${describeEndpoint(endpoint)} cannot be used: ${reason}`, {
        hint: 'start Redis, or name another with redisServerUrl of the handler or --redis-url; it is tried again by itself',
      }),
    )
  client.on('ready', () => handler.health(undefined))
  client.on('error', (error: Error) => unhealthy(error.message === '' ? 'no connection' : error.message))
  client.on('close', () => {
    if (!handler.signal.aborted) unhealthy('the connection is closed')
  })
  const connecting = client.connect().catch((error: unknown) => unhealthy(WeftError.from(error).message))
  await Promise.race([connecting, delay(OPEN_WITHIN_MS, undefined, { ref: false })])
  if (client.status !== 'ready') unhealthy('it has not answered yet')
  return client
}
