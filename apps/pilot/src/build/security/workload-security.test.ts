import { objectKey } from '@weft/config/objects'
import type { FilterChain } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { RBAC_Action } from '@weft/contracts/envoy/config/rbac/v3/rbac'
import { JwtAuthentication } from '@weft/contracts/envoy/extensions/filters/http/jwt_authn/v3/config'
import { RBAC } from '@weft/contracts/envoy/extensions/filters/http/rbac/v3/rbac'
import { RBAC as TcpRbac } from '@weft/contracts/envoy/extensions/filters/network/rbac/v3/rbac'
import { UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { describe, expect, test } from 'vitest'
import { readExtensionProviders } from '../../model/extension-providers.ts'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import { scopeOf } from '../../scope/scope-of.ts'
import { type Built, builtFor, httpOf, nodeOf } from '../../testing/built-for.ts'
import { envoyBinary, validateWithEnvoy } from '../../testing/real-envoy.ts'
import { snapshotsOf } from '../../testing/snapshot-of.ts'
import { staticBootstrap } from '../../testing/static-bootstrap.ts'

if (envoyBinary === undefined) console.log('skipped: security filters are not validated by real Envoy (set WEFT_ENVOY)')

const services = `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { selector: { app: reviews }, ports: [{ name: http, port: 9080 }, { name: tcp-db, port: 5432 }] }
---
apiVersion: v1
kind: Service
metadata: { name: keys, namespace: auth }
spec: { selector: { app: keys }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: reviews-v1 }
spec: { address: 127.1.1.1, ports: { http: 9080, tcp-db: 5432 }, labels: { app: reviews, version: v1 }, serviceAccount: reviews }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front, namespace: istio-system }
spec: { selector: { istio: ingressgateway }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }] }
---
`
const authorization = (name: string, spec: string, namespace = 'default'): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
---
`
const authentication = (name: string, spec: string, namespace = 'default'): string => `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
---
`

const sidecar = nodeOf('sidecar', { LABELS: { app: 'reviews', version: 'v1' } })
const router = nodeOf('router', { NAMESPACE: 'istio-system', LABELS: { istio: 'ingressgateway' } })

function chainOf(built: Built, port: number): FilterChain {
  const chain = built.listeners
    .get('virtualInbound')
    ?.filterChains.find(({ filterChainMatch }) => filterChainMatch?.destinationPort === port)
  if (chain === undefined) throw new Error(`no chain for ${port}`)
  return chain
}

/** Names of the policies of all RBAC filters, each with what it does. */
function rbacs(chain: FilterChain): Record<string, string[]> {
  const found: Record<string, string[]> = {}
  const actions = { [RBAC_Action.ALLOW]: 'ALLOW', [RBAC_Action.DENY]: 'DENY', [RBAC_Action.LOG]: 'LOG' }
  for (const { name, configType } of httpOf(chain).httpFilters) {
    if (name !== 'envoy.filters.http.rbac' || configType?.$case !== 'typedConfig') continue
    const { rules, shadowRules } = RBAC.decode(configType.value.value)
    if (rules !== undefined) found[Reflect.get(actions, rules.action)] = Object.keys(rules.policies)
    if (shadowRules !== undefined) found[`shadow ${Reflect.get(actions, shadowRules.action)}`] = Object.keys(shadowRules.policies)
  }
  return found
}

function jwtOf(chain: FilterChain): JwtAuthentication {
  const filter = httpOf(chain).httpFilters.find(({ name }) => name === 'envoy.filters.http.jwt_authn')
  if (filter?.configType?.$case !== 'typedConfig') throw new Error('the chain reads no tokens')
  return JwtAuthentication.decode(filter.configType.value.value)
}

describe('which AuthorizationPolicies hold at a workload', () => {
  test('those of the root namespace and of its own, by labels or for all', () => {
    const rules = 'rules: [{}]'
    const built = builtFor(
      services +
        authorization('mesh-wide', `{ ${rules} }`, 'istio-system') +
        authorization('root-for-reviews', `{ selector: { matchLabels: { app: reviews } }, ${rules} }`, 'istio-system') +
        authorization('root-for-others', `{ selector: { matchLabels: { app: ratings } }, ${rules} }`, 'istio-system') +
        authorization('namespace-wide', `{ ${rules} }`) +
        authorization('for-v1', `{ selector: { matchLabels: { version: v1 } }, ${rules} }`) +
        authorization('for-v2', `{ selector: { matchLabels: { version: v2 } }, ${rules} }`) +
        authorization('elsewhere', `{ ${rules} }`, 'other'),
      sidecar,
    )
    const names = ['for-v1', 'namespace-wide'].map((name) => `ns[default]-policy[${name}]-rule[0]`)
    const root = ['mesh-wide', 'root-for-reviews'].map((name) => `ns[istio-system]-policy[${name}]-rule[0]`)
    expect(rbacs(chainOf(built, 9080))['ALLOW']?.sort()).toEqual([...names, ...root])
  })

  test('a target is a service that leads to the workload, or the Gateway that a router serves', () => {
    const target = (kind: string, group: string, name: string) =>
      `{ targetRefs: [{ kind: ${kind}, group: "${group}", name: ${name} }], rules: [{}] }`
    const yaml =
      services +
      authorization('to-reviews', target('Service', '', 'reviews')) +
      authorization('to-keys', target('Service', '', 'keys')) +
      authorization('to-gateway', target('Gateway', 'gateway.networking.k8s.io', 'edge'), 'istio-system')
    expect(rbacs(chainOf(builtFor(yaml, sidecar), 9080))).toEqual({ ALLOW: ['ns[default]-policy[to-reviews]-rule[0]'] })
    const labels = { istio: 'ingressgateway', 'gateway.networking.k8s.io/gateway-name': 'edge' }
    const gateway = builtFor(yaml, nodeOf('router', { NAMESPACE: 'istio-system', LABELS: labels }))
    expect(rbacs(gateway.listeners.get('0.0.0.0_80')!.filterChains[0]!)).toEqual({
      ALLOW: ['ns[istio-system]-policy[to-gateway]-rule[0]'],
    })
  })

  test('without any, nobody is in the way', () => {
    const filters = httpOf(chainOf(builtFor(services, sidecar), 9080)).httpFilters.map(({ name }) => name)
    expect(filters).toEqual(['envoy.filters.http.router'])
  })

  test('a changed policy concerns the workloads that it selects or selected, and no others', () => {
    const policy = (app: string) => authorization('one', `{ selector: { matchLabels: { app: ${app} } }, rules: [{}] }`)
    const { snapshots, set } = snapshotsOf(services + policy('reviews'))
    const before = snapshots.current
    const after = set(services + policy('ratings'))
    const change = { kind: 'AuthorizationPolicy', namespace: 'default', host: 'one' } as const
    const concerns = (app: string) =>
      [before, after].some((snapshot) => scopeOf(snapshot, nodeOf('sidecar', { LABELS: { app } })).dependsOn(change))
    expect(['reviews', 'ratings', 'details'].map(concerns)).toEqual([true, true, false])
    expect(after.objects.has(objectKey('AuthorizationPolicy', 'default', 'one'))).toBe(true)
  })
})

describe('what they are compiled to', () => {
  const everything = `{ selector: { matchLabels: { app: reviews } }, action: ACTION, rules: [{
      from: [{ source: { principals: [cluster.local/ns/default/sa/web, "*"], notPrincipals: ["*/sa/bad"], requestPrincipals: ["https://issuer.example/me", "iss/*", "*/sub", "*"],
        namespaces: [default, "pre-*"], ipBlocks: [10.0.0.0/8, "::1"], remoteIpBlocks: [192.0.2.1], notRequestPrincipals: [evil/sub] } },
        { source: { serviceAccounts: [web, other/api] } }],
      to: [{ operation: { hosts: [a.example, "*.b.example"], methods: [GET], paths: [/exact, /start*, "*.end", "/users/{*}/files/{**}"], ports: ["9080"], notPaths: [/secret] } }],
      when: [{ key: "request.headers[x-tenant]", values: [a, "b*"] }, { key: source.ip, notValues: [10.1.0.0/16] }, { key: remote.ip, values: [0.0.0.0/0] },
        { key: source.namespace, values: [default] }, { key: source.principal, values: ["*"] }, { key: request.auth.principal, values: ["*"] },
        { key: request.auth.audiences, values: [a, b] }, { key: request.auth.presenter, values: [p] }, { key: "request.auth.claims[groups]", values: [dev, ops] },
        { key: "request.auth.claims[realm][roles]", notValues: [none] }, { key: destination.ip, values: [127.0.0.0/8] }, { key: destination.port, values: ["9080"] },
        { key: connection.sni, values: ["*.example"] }, { key: "experimental.envoy.filters.http.x[k]", values: ["[v]", w] }]
    }] }`

  test('CUSTOM stands before DENY, and DENY before ALLOW; what denies is named as in Istio', () => {
    const built = builtFor(
      services +
        authorization('let-in', '{ action: ALLOW, rules: [{}] }') +
        authorization(
          'keep-out',
          '{ action: DENY, rules: [{ to: [{ operation: { paths: [/admin*] } }] }, { to: [{ operation: { methods: [PUT] } }] }] }',
        ) +
        authorization('note', '{ action: AUDIT, rules: [{}] }') +
        authorization('ask', '{ action: CUSTOM, provider: { name: nobody }, rules: [{}] }'),
      sidecar,
    )
    const names = httpOf(chainOf(built, 9080)).httpFilters.map(({ name }) => name.replace('envoy.filters.http.', ''))
    expect(names).toEqual(['rbac', 'rbac', 'rbac', 'rbac', 'router'])
    const found = rbacs(chainOf(built, 9080))
    expect(Object.keys(found)).toEqual(['DENY', 'LOG', 'ALLOW'])
    expect(found['DENY']).toEqual(['ns[default]-policy[keep-out]-rule[0]', 'ns[default]-policy[keep-out]-rule[1]'])
  })

  test('without rules nothing is let in, and that is said', () => {
    const chain = chainOf(builtFor(services + authorization('nothing', '{}'), sidecar), 9080)
    expect(rbacs(chain)).toEqual({ ALLOW: ['ns[default]-policy[nothing]-rule[0]'] })
  })

  test('before TCP, a rule that lets in by HTTP is left out; one that denies covers more', () => {
    const rule = '[{ from: [{ source: { namespaces: [web] } }], to: [{ operation: { methods: [GET], ports: ["5432"] } }] }]'
    const built = builtFor(
      services + authorization('let-in', `{ rules: ${rule} }`) + authorization('keep-out', `{ action: DENY, rules: ${rule} }`),
      sidecar,
    )
    const filters = chainOf(built, 5432).filters
    expect(filters.map(({ name }) => name)).toEqual([
      'envoy.filters.network.rbac',
      'envoy.filters.network.rbac',
      'envoy.filters.network.tcp_proxy',
    ])
    const policies = filters.slice(0, 2).map(({ configType }) => {
      if (configType?.$case !== 'typedConfig') throw new Error('no configuration')
      return TcpRbac.decode(configType.value.value).rules?.policies ?? {}
    })
    expect(policies.map((one) => Object.keys(one).length)).toEqual([1, 0])
  })

  test("a principal of the mesh's trust domain holds in its aliases too", () => {
    const mesh = { ...defaultMeshSettings, trustDomain: 'new.example', trustDomainAliases: ['old.example'] }
    const spec = '{ rules: [{ from: [{ source: { principals: [cluster.local/ns/a/sa/b, foreign/ns/a/sa/b, "*"] } }] }] }'
    const text = JSON.stringify(staticBootstrap(builtFor(services + authorization('one', spec), sidecar, mesh)))
    for (const domain of ['new.example', 'old.example', 'foreign']) expect(text).toContain(`spiffe://${domain}/ns/a/sa/b`)
    expect(text).not.toContain('spiffe://cluster.local/ns/a/sa/b')
  })

  test.skipIf(envoyBinary === undefined)(
    'real Envoy takes every field, action and kind of listener',
    async () => {
      const provider = (kind: string, more: object) => ({
        name: kind,
        [kind]: { service: 'keys.auth.svc.cluster.local', port: 8080, ...more },
      })
      const extensionProviders = readExtensionProviders([
        provider('envoyExtAuthzGrpc', { timeout: '0.25s', includeRequestBodyInCheck: { maxRequestBytes: 100 } }),
        provider('envoyExtAuthzHttp', {
          statusOnError: '503',
          pathPrefix: '/check',
          includeRequestHeadersInCheck: ['x-*'],
          includeAdditionalHeadersInCheck: { a: 'b' },
          headersToUpstreamOnAllow: ['x-user'],
          headersToDownstreamOnDeny: ['*-reason'],
        }),
      ])
      const mesh = { ...defaultMeshSettings, extensionProviders }
      const policies = ['ALLOW', 'DENY', 'AUDIT'].map((action) =>
        authorization(action.toLowerCase(), everything.replace('ACTION', action)),
      )
      for (const kind of extensionProviders.keys()) {
        const custom = authorization(
          'custom',
          everything.replace('ACTION', `CUSTOM, provider: { name: ${kind} }`),
          'istio-system',
        )
        const yaml =
          services + policies.join('') + custom.replaceAll('app: reviews', kind.endsWith('Grpc') ? 'app: reviews' : 'version: v1')
        const built = builtFor(yaml, sidecar, mesh)
        const names = httpOf(chainOf(built, 9080)).httpFilters.map(({ name }) => name.replace('envoy.filters.http.', ''))
        expect(names).toEqual(['rbac', 'ext_authz', 'rbac', 'rbac', 'rbac', 'router'])
        expect(await validateWithEnvoy(staticBootstrap(built))).toBe('')
      }
    },
    60_000,
  )
})

describe('RequestAuthentication', () => {
  test('one issuer: its token is valid, or missing', () => {
    const spec =
      '{ jwtRules: [{ issuer: me, jwksUri: "http://keys.auth:8080/jwks", audiences: [a], forwardOriginalToken: true, outputPayloadToHeader: x-payload, outputClaimToHeaders: [{ header: x-sub, claim: sub }], fromHeaders: [{ name: x-token, prefix: "Bearer " }], fromParams: [token], fromCookies: [session] }] }'
    const built = builtFor(services + authentication('one', spec), sidecar)
    const { providers, rules } = jwtOf(chainOf(built, 9080))
    const provider = providers['origins-0']!
    expect(provider).toMatchObject({
      issuer: 'me',
      audiences: ['a'],
      forward: true,
      forwardPayloadHeader: 'x-payload',
      payloadInMetadata: 'payload',
      claimToHeaders: [{ headerName: 'x-sub', claimName: 'sub' }],
      fromHeaders: [{ name: 'x-token', valuePrefix: 'Bearer ' }],
      fromParams: ['token'],
      fromCookies: ['session'],
    })
    const jwks = provider.jwksSourceSpecifier
    expect(jwks?.$case === 'remoteJwks' && jwks.value.httpUri).toMatchObject({
      uri: 'http://keys.auth:8080/jwks',
      httpUpstreamType: { value: 'outbound|8080||keys.auth.svc.cluster.local' },
      timeout: { seconds: 5 },
    })
    const required = rules[0]?.requirementType
    if (required?.$case !== 'requires' || required.value.requiresType?.$case !== 'requiresAny') throw new Error('not any of')
    expect(required.value.requiresType.value.requirements.map(({ requiresType }) => requiresType?.$case)).toEqual([
      'providerName',
      'allowMissing',
    ])
  })

  test('several issuers, of several objects: one of them, or each valid or missing', () => {
    const rule = (issuer: string) => `{ jwtRules: [{ issuer: ${issuer}, jwks: '{"keys":[]}' }] }`
    const { providers, rules } = jwtOf(
      chainOf(
        builtFor(services + authentication('b', rule('b')) + authentication('a', rule('a'), 'istio-system'), sidecar),
        9080,
      ),
    )
    expect(Object.values(providers).map(({ issuer }) => issuer)).toEqual(['a', 'b'])
    const required = rules[0]?.requirementType
    if (required?.$case !== 'requires' || required.value.requiresType?.$case !== 'requiresAny') throw new Error('not any of')
    const cases = required.value.requiresType.value.requirements.map(({ requiresType }) => requiresType?.$case)
    expect(cases).toEqual(['providerName', 'providerName', 'requiresAll'])
  })

  test('a key server outside of the mesh has a cluster of its own, by TLS for https', () => {
    const rule = (uri: string) => `{ jwtRules: [{ issuer: me, jwksUri: "${uri}" }] }`
    const clusterFor = (uri: string, name: string) =>
      builtFor(services + authentication('one', rule(uri)), sidecar).clusters.get(name)
    const secure = clusterFor('https://login.example/keys', 'outbound|443||login.example')
    expect(secure?.clusterDiscoveryType).toMatchObject({ value: 1 })
    const socket = secure?.transportSocket?.configType
    if (socket?.$case !== 'typedConfig') throw new Error('no TLS')
    expect(UpstreamTlsContext.decode(socket.value.value)).toMatchObject({ sni: 'login.example' })
    const plain = clusterFor('http://127.0.0.1:9999/keys', 'outbound|9999||127.0.0.1')
    expect(plain?.clusterDiscoveryType).toMatchObject({ value: 0 })
    expect(plain?.transportSocket).toBeUndefined()
  })

  test('holds at gateways too, where routes may depend on claims', () => {
    const spec = `{ selector: { matchLabels: { istio: ingressgateway } }, jwtRules: [{ issuer: me, jwks: '{"keys":[]}' }] }`
    const built = builtFor(services + authentication('one', spec, 'istio-system'), router)
    const { providers } = jwtOf(built.listeners.get('0.0.0.0_80')!.filterChains[0]!)
    expect(providers['origins-0']).toMatchObject({ issuer: 'me', clearRouteCache: true })
  })

  test.skipIf(envoyBinary === undefined)(
    'real Envoy takes every way of naming keys',
    async () => {
      const rules = [
        'jwksUri: "https://login.example/keys"',
        'jwksUri: "http://[::1]:99/keys", timeout: 2s',
        'jwksUri: "http://keys.auth:8080/jwks"',
        'fromParams: [t]',
      ]
        .map((keys, index) => `{ issuer: "i${index}", ${keys} }`)
        .join()
      for (const node of [sidecar, router]) {
        const built = builtFor(services + authentication('one', `{ jwtRules: [${rules}] }`, 'istio-system'), node)
        expect(await validateWithEnvoy(staticBootstrap(built))).toBe('')
      }
    },
    60_000,
  )
})
