import { createHash, timingSafeEqual } from 'node:crypto'
import { BasicAuth, BasicAuthPerRoute } from '@weft/contracts/envoy/extensions/filters/http/basic_auth/v3/basic_auth'
import { headerName } from '@weft/http/header-name'
import { readDataSource } from '../../../plan/data-source.ts'
import type { FilterContext, HttpFilterKind, HttpStream } from '../filter.ts'

/** Bytes of the request's address that a client is told as the realm. */
const maxRealmBytes = 256
const scheme = 'Basic '
const originalPath = headerName('x-envoy-original-path')

/** SHA-1 of passwords by name. */
type Users = ReadonlyMap<string, Buffer>

interface RouteUsers {
  readonly users: Users
  /** Empty: as the filter says. */
  readonly realm: string
}

/** `envoy.filters.http.basic_auth`: names and passwords (RFC 7617), of a file as `htpasswd -s` writes it. */
export const basicAuth: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.basic_auth.v3.BasicAuth'],
  routeTypes: ['envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute'],
  compile(bytes, context) {
    const source = BasicAuth.decode(bytes)
    const own: RouteUsers = { users: readUsers(source.users, context), realm: '' }
    const credentials = source.authenticationHeader === '' ? headerName('authorization') : headerName(source.authenticationHeader)
    const forwarded = source.forwardUsernameHeader === '' ? null : headerName(source.forwardUsernameHeader)
    const allowed = context.stats.counter(`${context.statPrefix}basic_auth.allowed`)
    const denied = context.stats.counter(`${context.statPrefix}basic_auth.denied`)
    const deny = (stream: HttpStream, realm: string, text: string, details: string): 'stop' => {
      denied.inc()
      const told = realm === '' ? source.realm : realm
      const challenge = `Basic realm="${(told === '' ? addressOf(stream) : told).replace(/["\\]/g, '\\$&')}"`
      stream.reply(401, `User authentication failed. ${text}`, {
        details: `${details}_for_basic_auth`,
        headers: [['www-authenticate', challenge]],
      })
      return 'stop'
    }
    const check = (stream: HttpStream, { users, realm }: RouteUsers): 'continue' | 'stop' => {
      const { headers } = stream.request
      const value = headers.get(credentials)
      if (source.allowMissing && value?.startsWith(scheme) !== true) return 'continue'
      if (value === null) return deny(stream, realm, 'Missing username and password.', 'no_credential')
      if (!value.startsWith(scheme)) return deny(stream, realm, "Expected 'Basic' authentication scheme.", 'invalid_scheme')
      const pair = decoded(value.slice(scheme.length))
      const colon = pair.indexOf(':')
      if (colon < 0) return deny(stream, realm, 'Invalid basic credential format.', 'invalid_format')
      const name = pair.slice(0, colon)
      if (!isPasswordOf(users.get(name), pair.slice(colon + 1)))
        return deny(stream, realm, 'Invalid username/password combination.', 'invalid_credential')
      if (forwarded !== null) headers.set(forwarded, name)
      if (source.emitDynamicMetadata) stream.metadata('envoy.filters.http.basic_auth')['username'] = name
      allowed.inc()
      return 'continue'
    }
    return {
      isShared: true,
      start(_stream, routeConfig) {
        const users = routeConfig === undefined ? own : (routeConfig as RouteUsers)
        return { onRequestHeaders: (stream) => check(stream, users) }
      },
    }
  },
  compileRouteConfig(bytes, _type, context): RouteUsers {
    const { users, realm } = BasicAuthPerRoute.decode(bytes)
    return { users: readUsers(users, context), realm }
  },
}

function readUsers(source: BasicAuth['users'], context: FilterContext): Users {
  const users = new Map<string, Buffer>()
  const fail = (message: string): never => context.fail('users', `basic auth: ${message}`)
  const text = readDataSource(source, `${context.path}.users`).toString('latin1')
  if (text === '') return context.fail('users', 'DataSource cannot be empty')
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const colon = line.indexOf(':')
    if (colon < 0) return fail('invalid htpasswd format, username:password is expected')
    const name = line.slice(0, colon)
    const hash = line.slice(colon + 1)
    if (name === '' || hash === '') return fail('empty user name or password')
    if (users.has(name)) return fail('duplicate user')
    if (!hash.startsWith('{SHA}')) return fail('unsupported htpasswd format: please use {SHA}')
    // Base64 of 20 bytes.
    if (hash.length !== 5 + 28) return fail('invalid SHA hash length')
    users.set(name, Buffer.from(hash.slice(5), 'latin1'))
  }
  return users
}

function isPasswordOf(hash: Buffer | undefined, password: string): boolean {
  const given = Buffer.from(createHash('sha1').update(password, 'latin1').digest('base64'), 'latin1')
  return hash !== undefined && timingSafeEqual(given, hash)
}

/** Base64, padded or not; empty where it is none. */
function decoded(text: string): string {
  const bare = text.replace(/={1,2}$/, '')
  return /^[A-Za-z0-9+/]*$/.test(bare) && bare.length % 4 !== 1 ? Buffer.from(bare, 'base64').toString('latin1') : ''
}

function addressOf({ request }: HttpStream): string {
  const path = request.headers.getAll(originalPath) ?? request.path
  return `${request.scheme}://${request.authority}${path.slice(0, maxRealmBytes)}`
}
