import { beginsWithPreface } from '@weft/http/h2/frame'
import type { ListenerFilterKind } from '../filter.ts'

/** The longest request line that is waited for. */
const maxBytes = 8 * 1024

/** `envoy.filters.listener.http_inspector`: which HTTP a client speaks in plaintext, for chains that match by protocol. */
export const httpInspector: ListenerFilterKind = {
  types: ['envoy.extensions.filters.listener.http_inspector.v3.HttpInspector'],
  compile(_config, _path, { stats }) {
    const counter = (name: string) => stats.counter(`http_inspector.${name}`)
    const found = { 'http/1.0': counter('http10_found'), 'http/1.1': counter('http11_found'), h2c: counter('http2_found') }
    const notFound = counter('http_not_found')
    counter('read_error')
    return {
      maxBytes,
      inspect(bytes, facts) {
        if (facts.transportProtocol === 'tls') return 0
        const protocol = httpOf(bytes)
        if (protocol === 'more') return 'more'
        if (protocol === null) {
          notFound.inc()
          return 0
        }
        found[protocol].inc()
        facts.applicationProtocols = [protocol]
        return 0
      },
    }
  },
}

/** Which HTTP begins by these bytes; null: none. */
function httpOf(bytes: Buffer): 'http/1.0' | 'http/1.1' | 'h2c' | 'more' | null {
  if (bytes.length === 0) return 'more'
  const preface = beginsWithPreface(bytes, 0, bytes.length)
  if (preface === 'yes') return 'h2c'
  const lineEnd = bytes.indexOf(10)
  const line = bytes.toString('latin1', 0, lineEnd < 0 ? bytes.length : lineEnd)
  if (!/^[A-Z][A-Z-]*( |$)/.test(line)) return null
  if (lineEnd < 0) return bytes.length < maxBytes ? 'more' : null
  if (preface === 'more') return 'more'
  const match = /^[A-Z-]+ [!-\xff]+(?: HTTP\/(\d\.\d))?\r?$/.exec(line)
  if (match === null) return null
  // Whatever else comes, or no version at all, is as old as can be, as Envoy sees it.
  return match[1] === '1.1' ? 'http/1.1' : 'http/1.0'
}
