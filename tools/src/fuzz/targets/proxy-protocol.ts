import { maxProxyHeaderBytes, readProxyHeader, writeProxyHeader } from '@weft/proxy/transport/proxy-protocol'
import { type FuzzTarget, utf8 } from '../target.ts'

const source = { address: '10.1.2.3', port: 4567 }
const destination = { address: '10.9.9.9', port: 80 }
const v6 = { source: { address: '1:2::3', port: 1 }, destination: { address: '::1', port: 65535 } }
const tlvs = [{ type: 2, value: Buffer.from('a.test') }]

/**
 * A connection's first bytes → a PROXY header, the same whether they come at once or not. What is read is written and read
 * again, and has to be the same.
 */
export const proxyProtocol: FuzzTarget = {
  seeds: [
    writeProxyHeader({ version: 1, addresses: { source, destination }, tlvs: [] }),
    writeProxyHeader({ version: 1, addresses: v6, tlvs: [] }),
    writeProxyHeader({ version: 2, addresses: { source, destination }, tlvs }),
    writeProxyHeader({ version: 2, addresses: v6, tlvs }),
    writeProxyHeader({ version: 2, addresses: null, tlvs: [] }),
    ...utf8('PROXY UNKNOWN\r\n'),
  ],
  words: utf8('PROXY ', 'TCP4 ', 'TCP6 ', 'UNKNOWN', '\r\n', ' ', '::', '65536', '\r\n\r\n\0\r\nQUIT\n!', '\0\0'),
  run(input) {
    const bytes = Buffer.from(input)
    const reading = readProxyHeader(bytes)
    for (const length of [1, 6, 12, 16, bytes.length - 1]) {
      if (length < 0 || length > bytes.length) continue
      const { type } = readProxyHeader(bytes.subarray(0, length))
      if (type !== 'more' && type !== reading.type) throw new Error(`${length} bytes are '${type}', all are '${reading.type}'`)
    }
    if (reading.type === 'more' && bytes.length >= maxProxyHeaderBytes) throw new Error('no length is enough')
    if (reading.type !== 'header') return
    const { header, length } = reading
    if (length > bytes.length) throw new Error('it ends behind what there is')
    const again = readProxyHeader(writeProxyHeader(header))
    if (again.type !== 'header' || JSON.stringify(again.header) !== JSON.stringify(header))
      throw new Error('another header came out')
  },
}
