import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import type { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { CookieBasedSessionState } from '@weft/contracts/envoy/extensions/http/stateful_session/cookie/v3/cookie'
import { HeaderBasedSessionState } from '@weft/contracts/envoy/extensions/http/stateful_session/header/v3/header'
import { headerName, names } from '@weft/http/header-name'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import { durationMs } from '../../../plan/duration.ts'
import { cookieValue } from '../../../routing/cookie.ts'

/** How a session tells, in what a client sends along, which endpoint it is with. */
export interface SessionState {
  /** Whether requests to this path belong to sessions at all. */
  covers(path: string): boolean
  /** The endpoint's address (`ip:port`); empty: the request names none, or none that can be read. */
  read(request: RequestHead): string
  /** Tells the client of another endpoint. */
  write(response: ResponseHead, address: string): void
}

const cookieType = 'envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState'
const headerType = 'envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState'

/** Found by its name, whose configuration is of one type. */
const typeOfName: Readonly<Record<string, string>> = {
  'envoy.http.stateful_session.cookie': cookieType,
  'envoy.http.stateful_session.header': headerType,
}

/** Compiles a session state; `fail` throws. */
export function compileSessionState({ name, typedConfig }: TypedExtensionConfig, fail: (message: string) => never): SessionState {
  const { typeUrl, value } = typedConfig ?? { typeUrl: '', value: new Uint8Array() }
  const type = typeUrl.slice(typeUrl.lastIndexOf('/') + 1)
  const asked = typeOfName[name]
  if (asked === undefined) return fail(`no session state is named '${name}': known are ${Object.keys(typeOfName).join(' and ')}`)
  if (asked !== type) return fail(`the configuration of ${name} is a ${asked}, not a '${type}'`)
  if (type === cookieType) return cookieState(CookieBasedSessionState.decode(value), fail)
  return headerState(HeaderBasedSessionState.decode(value))
}

function headerState(source: HeaderBasedSessionState): SessionState {
  const name = headerName(source.name)
  return {
    covers: () => true,
    read: ({ headers }) => fromBase64(headers.get(name) ?? '').toString('latin1'),
    write: ({ headers }, address) => headers.set(name, Buffer.from(address).toString('base64')),
  }
}

function cookieState({ cookie }: CookieBasedSessionState, fail: (message: string) => never): SessionState {
  if (cookie === undefined || cookie.name === '') return fail('a cookie with a name is needed')
  const { name, path } = cookie
  const seconds = Math.floor(durationMs(cookie.ttl, 0) / 1000)
  const age = seconds > 0 ? `; Max-Age=${seconds}` : ''
  const at = path === '' ? '' : `; Path=${path}`
  const attributes = cookie.attributes.map((one) => (one.value === '' ? `; ${one.name}` : `; ${one.name}=${one.value}`)).join('')
  const now = () => Math.floor(Date.now() / 1000)
  return {
    covers: pathMatcher(path),
    read({ headers }) {
      const bytes = fromBase64(cookieValue(headers, name) ?? '')
      const held = readHeld(bytes)
      // The address alone is what cookies held once.
      if (held === null) return bytes.toString('latin1')
      return held.expires !== 0 && now() > held.expires ? '' : held.address
    },
    write({ headers }, address) {
      const value = writeHeld(address, seconds > 0 ? now() + seconds : 0)
      headers.append(names.setCookie, `${name}="${value}"${age}${at}${attributes}; HttpOnly`)
    },
  }
}

/** As browsers match a cookie's path (RFC 6265 section 5.1.4), but for what comes behind it. */
function pathMatcher(path: string): (of: string) => boolean {
  if (path === '' || path === '/') return () => true
  if (path.endsWith('/')) return (of) => of.startsWith(path)
  return (of) => of.startsWith(path) && (of.length === path.length || '/?#'.includes(of.charAt(path.length)))
}

/** Empty where the text is no base64. */
function fromBase64(text: string): Buffer {
  return Buffer.from(/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0 ? text : '', 'base64')
}

/** What a cookie holds: a message of an address (1) and of when it expires, in seconds (2). */
function writeHeld(address: string, expires: number): string {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(address)
  if (expires > 0) writer.tag(2, WireType.Varint).uint64(expires)
  return Buffer.from(writer.finish()).toString('base64')
}

/** null: it is no such message. */
function readHeld(bytes: Buffer): { address: string; expires: number } | null {
  const held = { address: '', expires: 0 }
  try {
    const reader = new BinaryReader(bytes)
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag()
      if (field === 1 && type === WireType.LengthDelimited) held.address = reader.string()
      else if (field === 2 && type === WireType.Varint) held.expires = Number(reader.uint64())
      else reader.skip(type, field)
    }
    return held
  } catch {
    return null
  }
}
