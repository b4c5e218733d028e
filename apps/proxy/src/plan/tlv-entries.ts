import type { TlvEntry } from '@weft/contracts/envoy/config/core/v3/proxy_protocol'
import { compileLogFormat } from '../observe/access-log/access-log.ts'
import type { FormatContext } from '../observe/format/context.ts'
import type { Tlv } from '../transport/proxy-protocol.ts'
import { invalid } from './problems.ts'

/** What a PROXY header tells beside addresses: fixed values, and those that a format makes of the connection. */
export function compileTlvs(entries: readonly TlvEntry[], path: string): (context: FormatContext) => Tlv[] {
  const makers = entries.map(({ type, value, formatString }, i) => {
    const at = `${path}[${i}]`
    if (formatString === undefined) {
      if (value.length === 0) throw invalid(at, "Invalid TLV configuration: one of 'value' or 'format_string' must be set.")
      const fixed: Tlv = { type, value }
      return () => fixed
    }
    if (value.length > 0) throw invalid(at, "Invalid TLV configuration: only one of 'value' or 'format_string' may be set.")
    const format = compileLogFormat(formatString, `${at}.format_string`)
    return (context: FormatContext): Tlv => ({ type, value: Buffer.from(format(context), 'latin1').subarray(0, mostBytes) })
  })
  return (context) => makers.map((make) => make(context))
}

/** Its length is told by two bytes, and the header has one for all of them. */
const mostBytes = 32 * 1024
