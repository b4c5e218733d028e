/** What a TLS ClientHello says before any handshake. */
export interface ClientHello {
  serverName: string
  alpn: string[]
  /** Of what TLS 1.2 knows, it would have ChaCha20 before AES-128. */
  prefersChaCha: boolean
}

/** `body`: the hello itself, without what frames it. */
export type Inspection = { type: 'more' } | { type: 'tls'; hello: ClientHello; body: Buffer } | { type: 'plain' }

/** Bytes of a hello that are looked at: more than any real client sends. */
const maxHelloBytes = 16 * 1024

/**
 * Tells TLS from plaintext by a connection's first bytes, and reads server name and ALPN of the ClientHello (RFC 8446
 * section 4.1.2, RFC 6066, RFC 7301). A hello may come in several records.
 */
export function inspectClientHello(bytes: Buffer): Inspection {
  if (bytes.length === 0) return { type: 'more' }
  if (bytes[0] !== 22) return { type: 'plain' }
  if (bytes.length < 5) return { type: 'more' }
  if (bytes[1] !== 3) return { type: 'plain' }
  const handshake = joinRecords(bytes)
  if (handshake === null) return { type: 'plain' }
  if (handshake.length < 4) return { type: 'more' }
  if (handshake[0] !== 1) return { type: 'plain' }
  const length = handshake.readUIntBE(1, 3)
  if (length > maxHelloBytes) return { type: 'plain' }
  if (handshake.length < 4 + length) return { type: 'more' }
  const body = handshake.subarray(4, 4 + length)
  const hello = readHello(body)
  return hello === null ? { type: 'plain' } : { type: 'tls', hello, body }
}

/**
 * The handshake bytes of the whole records there are, up to the end of the first message: what follows (early data) may be
 * records of another kind. null: a record before that is no handshake.
 */
function joinRecords(bytes: Buffer): Buffer | null {
  let joined: Buffer = Buffer.alloc(0)
  let at = 0
  while (at + 5 <= bytes.length) {
    if (bytes[at] !== 22 || bytes[at + 1] !== 3) return null
    const length = bytes.readUInt16BE(at + 3)
    if (length === 0 || length > 16384 + 256) return null
    if (at + 5 + length > bytes.length) break
    const part = bytes.subarray(at + 5, at + 5 + length)
    joined = joined.length === 0 ? part : Buffer.concat([joined, part])
    if (joined.length >= 4 && joined.length >= 4 + joined.readUIntBE(1, 3)) return joined
    at += 5 + length
  }
  return joined
}

/** null: lengths lead outside, or the hello goes on behind its end. */
function readHello(hello: Buffer): ClientHello | null {
  const result: ClientHello = { serverName: '', alpn: [], prefersChaCha: false }
  try {
    let at = 2 + 32
    at += 1 + hello.readUInt8(at)
    const suites = hello.readUInt16BE(at)
    if (suites < 2 || suites % 2 !== 0) return null
    result.prefersChaCha = isChaChaFirst(hello.subarray(at + 2, at + 2 + suites))
    at += 2 + suites
    const compressions = hello.readUInt8(at)
    if (compressions < 1) return null
    at += 1 + compressions
    if (at === hello.length) return result
    if (at + 2 + hello.readUInt16BE(at) !== hello.length) return null
    at += 2
    while (at < hello.length) {
      const type = hello.readUInt16BE(at)
      const end = at + 4 + hello.readUInt16BE(at + 2)
      if (end > hello.length) return null
      const body = hello.subarray(at + 4, end)
      if (type === 0) result.serverName = readServerName(body)
      else if (type === 16) result.alpn = readAlpn(body)
      at = end
    }
  } catch {
    return null
  }
  return result
}

/** `suites`: two bytes each, the client's dearest first. */
function isChaChaFirst(suites: Buffer): boolean {
  for (let at = 0; at + 2 <= suites.length; at += 2) {
    const suite = suites.readUInt16BE(at)
    if (chaChaSuites.has(suite)) return true
    if (aesSuites.has(suite)) return false
  }
  return false
}

/** With ECDHE, by RSA and by ECDSA: RFC 7905, and AES-128-GCM of RFC 5289. */
const chaChaSuites: ReadonlySet<number> = new Set([0xcca8, 0xcca9])
const aesSuites: ReadonlySet<number> = new Set([0xc02b, 0xc02f])

function readServerName(body: Buffer): string {
  if (body.length < 5 || body[2] !== 0) return ''
  return body
    .subarray(5, 5 + body.readUInt16BE(3))
    .toString('latin1')
    .toLowerCase()
}

function readAlpn(body: Buffer): string[] {
  const names: string[] = []
  let at = 2
  while (at < body.length) {
    const length = body[at]!
    names.push(body.subarray(at + 1, at + 1 + length).toString('latin1'))
    at += 1 + length
  }
  return names
}
