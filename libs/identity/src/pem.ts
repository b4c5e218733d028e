import { WeftError } from '@weft/service/errors'

/** Most blocks in one PEM text, and its largest size: a trust bundle is some kilobytes. */
const maxBlocks = 256
const maxBytes = 1 << 20

export interface PemBlock {
  label: string
  der: Buffer
}

/**
 * The blocks of a PEM text in order (RFC 7468, the strict form: text between blocks is passed over, within a block only
 * base64). Throws `invalid_argument` when a block is broken, when there is none, or more than 256.
 */
export function parsePem(text: string, what: string): PemBlock[] {
  if (text.length > maxBytes) throw new WeftError('invalid_argument', `${what} is larger than ${maxBytes} bytes`)
  const blocks: PemBlock[] = []
  let at = 0
  for (;;) {
    const begin = text.indexOf('-----BEGIN ', at)
    if (begin === -1) break
    const labelEnd = text.indexOf('-----', begin + 11)
    const label = labelEnd === -1 ? '' : text.slice(begin + 11, labelEnd)
    const end = text.indexOf(`-----END ${label}-----`, labelEnd)
    if (!/^[A-Z0-9 ]{1,64}$/.test(label) || end === -1) {
      throw new WeftError('invalid_argument', `${what}: PEM block ${blocks.length + 1} does not end`)
    }
    const base64 = text.slice(labelEnd + 5, end).replace(/[\r\n\t ]+/g, '')
    if (base64.length === 0 || base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
      throw new WeftError('invalid_argument', `${what}: PEM block ${blocks.length + 1} (${label}) is not base64`)
    }
    if (blocks.length === maxBlocks) throw new WeftError('invalid_argument', `${what} has more than ${maxBlocks} PEM blocks`)
    blocks.push({ label, der: Buffer.from(base64, 'base64') })
    at = end + label.length + 14
  }
  if (blocks.length === 0) throw new WeftError('invalid_argument', `${what} has no PEM block`)
  return blocks
}

/** One PEM block with lines of 64 characters. */
export function formatPem(label: string, der: Buffer): string {
  const base64 = der.toString('base64')
  let lines = ''
  for (let at = 0; at < base64.length; at += 64) lines += `${base64.slice(at, at + 64)}\n`
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`
}
