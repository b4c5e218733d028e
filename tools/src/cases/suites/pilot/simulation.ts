import { array, type JsonObject, number, object, optionalArray, readCases, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { configurationOf } from './configuration.ts'
import { type Call, type Outcome, simulate } from './simulate.ts'

/** Calls taken through what Pilot builds: which listener, filter chain, virtual host and cluster they come to. */
export function pilotSimulation(dir: string): CaseResult[] {
  const file = readCases(dir, 'pilot-simulation.json')
  return array(file['cases'], 'cases').flatMap((value) => play(object(value, 'case')))
}

function play(testCase: JsonObject): CaseResult[] {
  const name = `${text(testCase['test'], 'test')} ${text(testCase['name'] ?? '', 'name')}`.trim()
  const calls = optionalArray(testCase['calls'], 'calls').map((call) => object(call, 'call'))
  let configuration: ReturnType<typeof configurationOf>
  try {
    configuration = configurationOf(testCase)
  } catch (thrown) {
    const actual = thrown instanceof Error ? thrown.message : String(thrown)
    return [{ name, passed: false, expected: 'a configuration', actual }]
  }
  const { built, type } = configuration
  if (calls.length === 0)
    return [{ name, passed: built.listeners.size > 0, expected: 'listeners', actual: [...built.listeners.keys()] }]
  return calls.map((call) => {
    const expected = object(call['result'], 'result')
    // Istio's tests leave the domain empty for what is no Kubernetes object: `a.default` is what others call in full.
    const outcome: Record<string, unknown> = { ...simulate(built, readCall(object(call['call'], 'call'), type)) }
    const actual: Record<string, unknown> = {}
    for (const field of fields) if (expected[field] !== undefined) actual[field] = outcome[field]
    const passed = fields.every((field) => expected[field] === undefined || short(expected[field]) === short(outcome[field]))
    // A case that names a cluster or a host and no error says that there is none.
    const clean = expected['Error'] !== undefined || expected['ClusterMatched'] === undefined || outcome['Error'] === undefined
    return {
      name: `${name}: ${text(call['name'], 'name')}`,
      passed: passed && clean,
      expected,
      actual: passed ? outcome : { ...actual, all: outcome },
    }
  })
}

function short(value: unknown): unknown {
  return typeof value === 'string' ? value.replaceAll('.svc.cluster.local', '') : value
}

const fields: readonly (keyof Outcome)[] = [
  'Error',
  'ListenerMatched',
  'FilterChainMatched',
  'RouteConfigMatched',
  'VirtualHostMatched',
  'RouteMatched',
  'ClusterMatched',
]

const protocols = { http: 'http', http2: 'http2', tcp: 'tcp' } as const
const tlsModes = { plaintext: 'plaintext', tls: 'tls', mtls: 'mtls' } as const

function readCall(call: JsonObject, proxyType: 'sidecar' | 'router'): Call {
  const string = (key: string, or = ''): string => (call[key] === undefined ? or : text(call[key], key))
  const protocol = protocols[string('Protocol', 'tcp') as keyof typeof protocols] ?? 'tcp'
  const tls = tlsModes[string('TLS', 'plaintext') as keyof typeof tlsModes] ?? 'plaintext'
  const host = string('HostHeader')
  const mode = string('CallMode') === 'inbound' ? 'inbound' : proxyType === 'router' ? 'gateway' : 'outbound'
  return {
    mode,
    address: string('Address', '1.3.3.7'),
    port: number(call['Port'], 'Port'),
    host,
    path: string('Path', '/'),
    protocol,
    tls,
    alpn: string('Alpn', defaultAlpn[tls][protocol]),
    serverName: tls === 'tls' ? host : '',
    secret: string('MtlsSecretConfigName', 'default'),
  }
}

/** The application protocol that a client of each kind offers. */
const defaultAlpn = {
  plaintext: { http: '', http2: '', tcp: '' },
  tls: { http: '', http2: 'h2', tcp: '' },
  mtls: { http: 'istio-http/1.1', http2: 'istio-h2', tcp: 'istio' },
} as const
