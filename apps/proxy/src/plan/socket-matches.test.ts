import { describe, expect, it } from 'vitest'
import { matchSocket, type SocketMatch } from './socket-matches.ts'

const tls = {
  alpn: [],
  keyLog: null,
  connectOptions: () => 'not-ready' as const,
  judge: () => null,
  remember: () => {},
  close: () => {},
}
const mutual: SocketMatch = { criteria: [['tlsMode', 'istio']], tls }
const any: SocketMatch = { criteria: [], tls: null }
const labelled = (labels: unknown) => ({ 'envoy.transport_socket_match': labels })

describe('transport_socket_matches', () => {
  it('takes the first match whose criteria the endpoint has', () => {
    expect(matchSocket([mutual, any], labelled({ tlsMode: 'istio', more: 1 }))).toBe(mutual)
    expect(matchSocket([mutual, any], labelled({ tlsMode: 'disabled' }))).toBe(any)
    expect(matchSocket([mutual, any], {})).toBe(any)
  })

  it('leaves the cluster its own transport socket where none holds', () => {
    expect(matchSocket([mutual], labelled({}))).toBeUndefined()
    expect(matchSocket([mutual], labelled('istio'))).toBeUndefined()
    expect(matchSocket([], labelled({ tlsMode: 'istio' }))).toBeUndefined()
  })
})
