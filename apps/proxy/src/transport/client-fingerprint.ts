import { createHash } from 'node:crypto'

/** Fingerprints of TLS clients, where a listener asks for them. */
export interface ClientFingerprints {
  readonly ja3: string
  readonly ja4: string
}

/** What fingerprints are made of. Of groups and signatures all count, as with Envoy, of the rest what is meant. */
interface Offer {
  version: number
  ciphers: number[]
  extensions: number[]
  groups: number[]
  pointFormats: number[]
  signatures: number[]
  versions: number[]
  alpn: Buffer | null
}

const type = { serverName: 0, groups: 10, pointFormats: 11, signatures: 13, alpn: 16, versions: 43 } as const

/**
 * The JA3 (MD5, hexadecimal) and JA4 fingerprints of a ClientHello, given its body, whose lengths have been seen to be right
 * (`inspectClientHello`). JA4 is as FoxIO's "JA4: TLS Client Fingerprinting" has it.
 */
export function fingerprintsOf(hello: Buffer): ClientFingerprints {
  const offer = readOffer(hello)
  return { ja3: ja3Of(offer), ja4: ja4Of(offer) }
}

function readOffer(hello: Buffer): Offer {
  const offer: Offer = {
    version: hello.readUInt16BE(0),
    ciphers: [],
    extensions: [],
    groups: [],
    pointFormats: [],
    signatures: [],
    versions: [],
    alpn: null,
  }
  let at = 34
  at += 1 + hello[at]!
  const ciphers = hello.readUInt16BE(at)
  offer.ciphers = words(hello.subarray(at + 2, at + 2 + ciphers)).filter(isMeant)
  at += 2 + ciphers
  at += 1 + hello[at]! + 2
  while (at + 4 <= hello.length) {
    const extension = hello.readUInt16BE(at)
    const end = at + 4 + hello.readUInt16BE(at + 2)
    const body = hello.subarray(at + 4, end)
    if (isMeant(extension)) offer.extensions.push(extension)
    switch (extension) {
      case type.groups:
        offer.groups = words(body.subarray(2))
        break
      case type.pointFormats:
        offer.pointFormats = [...body.subarray(1)]
        break
      case type.signatures:
        offer.signatures = words(body.subarray(2))
        break
      case type.versions:
        offer.versions = words(body.subarray(1)).filter(isMeant)
        break
      case type.alpn:
        if (body.length > 2) offer.alpn = body.subarray(3, 3 + body[2]!)
    }
    at = end
  }
  return offer
}

function words(bytes: Buffer): number[] {
  const result: number[] = []
  for (let i = 0; i + 2 <= bytes.length; i += 2) result.push(bytes.readUInt16BE(i))
  return result
}

/** Not one of the values that clients send at random to keep servers open-minded (RFC 8701). */
function isMeant(word: number): boolean {
  return (word & 0x0f0f) !== 0x0a0a || word >> 8 !== (word & 0xff)
}

function ja3Of({ version, ciphers, extensions, groups, pointFormats }: Offer): string {
  const text = [[version], ciphers, extensions, groups, pointFormats].map((list) => list.join('-')).join(',')
  return createHash('md5').update(text).digest('hex')
}

const versionNames: Readonly<Record<number, string>> = {
  772: '13',
  771: '12',
  770: '11',
  769: '10',
  768: 's3',
  2: 's2',
}

function ja4Of(offer: Offer): string {
  const { ciphers, extensions, signatures } = offer
  const version = versionNames[offer.versions.length > 0 ? Math.max(...offer.versions) : offer.version] ?? '00'
  const name = extensions.includes(type.serverName) ? 'd' : 'i'
  const rest = extensions.filter((one) => one !== type.serverName && one !== type.alpn)
  const sorted = (list: number[]): string =>
    list
      .map(hex)
      .sort((a, b) => (a < b ? -1 : 1))
      .join(',')
  const behind = signatures.length === 0 ? '' : `_${signatures.map(hex).join(',')}`
  const parts = [
    `t${version}${name}${count(ciphers)}${count(extensions)}${alpnMark(offer.alpn)}`,
    ciphers.length === 0 ? '000000000000' : shortHash(sorted(ciphers)),
    rest.length === 0 ? '000000000000' : shortHash(sorted(rest) + behind),
  ]
  return parts.join('_')
}

/** First and last character of the protocol that the client likes best. */
function alpnMark(alpn: Buffer | null): string {
  if (alpn === null || alpn.length === 0) return '00'
  const first = alpn[0]!
  const last = alpn[alpn.length - 1]!
  if (isAlphanumeric(first) && isAlphanumeric(last)) return String.fromCharCode(first, last)
  return `${alpn.toString('hex')[0]}${alpn.toString('hex').at(-1)}`
}

function isAlphanumeric(byte: number): boolean {
  return /^[0-9A-Za-z]$/.test(String.fromCharCode(byte))
}

function count(list: readonly number[]): string {
  return String(Math.min(99, list.length)).padStart(2, '0')
}

function hex(word: number): string {
  return word.toString(16).padStart(4, '0')
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}
