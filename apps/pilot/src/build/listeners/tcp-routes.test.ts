import type { FilterChain, FilterChainMatch } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { expect, test } from 'vitest'
import { builtFor, nodeOf, tcpOf } from '../../testing/built-for.ts'
import { envoyBinary, validateWithEnvoy } from '../../testing/real-envoy.ts'
import { staticBootstrap } from '../../testing/static-bootstrap.ts'

const entry = (name: string, protocol: string, port: number): string => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.test.example]
  ports: [{ number: ${port}, name: main, protocol: ${protocol} }]
  resolution: STATIC
  endpoints: [{ address: 10.0.0.1 }]
---
`
const services = entry('db', 'TCP', 5432) + entry('far', 'TCP', 5432) + entry('secure', 'TLS', 8443)

const route = (host: string, kind: string, routes: string): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host} }
spec: { hosts: [${host}.test.example], ${kind}: [${routes}] }
`
const to = (host: string): string => `route: [{ destination: { host: ${host}.test.example } }]`

/** Each chain that tells connections apart by their destination, as `blocks: cluster`. */
function bySubnet(chains: readonly FilterChain[] | undefined): string[] {
  const blocks = ({ prefixRanges }: FilterChainMatch): string =>
    prefixRanges.map(({ addressPrefix, prefixLen }) => `${addressPrefix}/${prefixLen}`).join()
  return (chains ?? []).flatMap((chain) => {
    const { filterChainMatch: match } = chain
    if (match === undefined || match.prefixRanges.length === 0) return []
    const specifier = tcpOf(chain).clusterSpecifier
    return [`${blocks(match)}: ${specifier?.$case === 'cluster' ? specifier.value : ''}`]
  })
}

const tcp = route(
  'db',
  'tcp',
  `{ match: [{ destinationSubnets: [10.1.0.0/16, 10.2.0.7] }], ${to('far')} }, { match: [{ port: 5432 }], ${to('db')} }`,
)
const tls = route(
  'secure',
  'tls',
  `{ match: [{ sniHosts: [secure.test.example], destinationSubnets: [10.3.0.0/16] }], ${to('far')} }`,
)

test('connections to the subnets that a route names go its way, the rest theirs', () => {
  const { listeners } = builtFor(`${services}${tcp}---\n${tls}`, nodeOf('sidecar'))
  expect(bySubnet(listeners.get('0.0.0.0_5432')?.filterChains)).toEqual([
    '10.1.0.0/16,10.2.0.7/32: outbound|5432||far.test.example',
  ])
  const rest = tcpOf(listeners.get('0.0.0.0_5432')?.defaultFilterChain).clusterSpecifier
  expect(rest).toMatchObject({ value: 'outbound|5432||db.test.example' })
  expect(bySubnet(listeners.get('0.0.0.0_8443')?.filterChains)).toEqual(['10.3.0.0/16: outbound|5432||far.test.example'])
})

test.skipIf(envoyBinary === undefined)('real Envoy takes such chains', async () => {
  expect(await validateWithEnvoy(staticBootstrap(builtFor(`${services}${tcp}---\n${tls}`, nodeOf('sidecar'))))).toBe('')
})
