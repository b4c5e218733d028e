import { Permission, Principal } from '@weft/contracts/envoy/config/rbac/v3/rbac'
import { UriTemplateMatchConfig } from '@weft/contracts/envoy/extensions/path/match/uri_template/v3/uri_template_match'
import type { Condition, Operation, Source } from '@weft/contracts/istio/security/v1beta1/authorization_policy'
import { pack } from '../wire.ts'
import {
  anyValue,
  claimAmong,
  claimMatcher,
  claimPath,
  listValue,
  metadataMatcher,
  principalClaims,
  textValue,
} from './claims.ts'
import { addressRange, headerMatcher, quote, regexMatcher, textMatcher } from './text-match.ts'

/** One thing a rule asks: one of the values, and none of the others. */
export interface Clause<T> {
  readonly values: readonly string[]
  readonly notValues: readonly string[]
  /** It asks about what only an HTTP request has. */
  readonly httpOnly: boolean
  /** Holds when one of the values (at least one is given) does. */
  anyOf(values: readonly string[]): T
}

type Values = Pick<Clause<never>, 'values' | 'notValues'>
type PermissionRule = NonNullable<Permission['rule']>
type Identifier = NonNullable<Principal['identifier']>

const prefixes = { headers: 'request.headers', claims: 'request.auth.claims', metadata: 'experimental.' } as const

export function permission(rule: PermissionRule): Permission {
  return Permission.fromPartial({ rule })
}

export function principal(identifier: Identifier): Principal {
  return Principal.fromPartial({ identifier })
}

function permissions(
  one: (value: string) => PermissionRule,
  { values, notValues }: Values,
  httpOnly = false,
): Clause<Permission> {
  return {
    values,
    notValues,
    httpOnly,
    anyOf: (some) => permission({ $case: 'orRules', value: { rules: some.map((value) => permission(one(value))) } }),
  }
}

function principals(one: (value: string) => Identifier, { values, notValues }: Values, httpOnly = false): Clause<Principal> {
  return {
    values,
    notValues,
    httpOnly,
    anyOf: (some) => principal({ $case: 'orIds', value: { ids: some.map((value) => principal(one(value))) } }),
  }
}

/** What an operation (`to`) asks, in the order in which it is cheapest to say no. */
export function operationClauses(operation: Operation): Clause<Permission>[] {
  return [
    permissions(host, { values: operation.hosts, notValues: operation.notHosts }, true),
    permissions(method, { values: operation.methods, notValues: operation.notMethods }, true),
    permissions(path, { values: operation.paths, notValues: operation.notPaths }, true),
    permissions(port, { values: operation.ports, notValues: operation.notPorts }),
  ]
}

/** What a source (`from`) asks. `namespace` is the policy's own, for service accounts that name none. */
export function sourceClauses(source: Source, namespace: string): Clause<Principal>[] {
  const account = (value: string) => serviceAccount(value, namespace)
  return [
    principals(peer, { values: source.principals, notValues: source.notPrincipals }),
    requestPrincipals({ values: source.requestPrincipals, notValues: source.notRequestPrincipals }),
    principals(account, { values: source.serviceAccounts, notValues: source.notServiceAccounts }),
    principals(peerNamespace, { values: source.namespaces, notValues: source.notNamespaces }),
    principals(remoteAddress, { values: source.remoteIpBlocks, notValues: source.notRemoteIpBlocks }),
    principals(peerAddress, { values: source.ipBlocks, notValues: source.notIpBlocks }),
  ]
}

/** What conditions (`when`) ask about where a request goes. */
export function permissionConditions(conditions: readonly Condition[]): Clause<Permission>[] {
  return conditions.flatMap((condition): Clause<Permission>[] => {
    const { key } = condition
    if (key === 'destination.ip') return [permissions(destinationAddress, condition)]
    if (key === 'destination.port') return [permissions(port, condition)]
    if (key === 'connection.sni') return [permissions(serverName, condition)]
    return key.startsWith(`${prefixes.metadata}envoy.filters.`) ? [metadataCondition(condition)] : []
  })
}

/** What conditions (`when`) ask about where a request comes from. */
export function principalConditions(conditions: readonly Condition[], namespace: string): Clause<Principal>[] {
  return conditions.flatMap((condition): Clause<Principal>[] => {
    const { key } = condition
    if (key === 'source.ip') return [principals(peerAddress, condition)]
    if (key === 'remote.ip') return [principals(remoteAddress, condition)]
    if (key === 'source.namespace') return [principals(peerNamespace, condition)]
    if (key === 'source.principal') return [principals(peer, condition)]
    if (key === 'source.serviceAccount') return [principals((value) => serviceAccount(value, namespace), condition)]
    if (key === 'request.auth.principal') return [requestPrincipals(condition)]
    if (key === 'request.auth.audiences') return [claim(['aud'], condition)]
    if (key === 'request.auth.presenter') return [claim(['azp'], condition)]
    if (key.startsWith(`${prefixes.claims}[`)) return [claim(claimPath(key.slice(prefixes.claims.length)), condition)]
    if (!key.startsWith(`${prefixes.headers}[`)) return []
    const name = key.slice(prefixes.headers.length + 1, -1)
    return [principals((value) => ({ $case: 'header', value: headerMatcher(name, value) }), condition, true)]
  })
}

const host = (value: string): PermissionRule => ({
  $case: 'header',
  value: headerMatcher(':authority', value, { ignoreCase: true }),
})

const method = (value: string): PermissionRule => ({ $case: 'header', value: headerMatcher(':method', value) })

const port = (value: string): PermissionRule => ({ $case: 'destinationPort', value: Number(value) })

const serverName = (value: string): PermissionRule => ({ $case: 'requestedServerName', value: textMatcher(value) })

const destinationAddress = (value: string): PermissionRule => ({ $case: 'destinationIp', value: addressRange(value) })

/** A path, or a template of one: `{*}` is one segment, `{**}` any number of them. */
function path(value: string): PermissionRule {
  if (!value.includes('{*}') && !value.includes('{**}')) {
    return { $case: 'urlPath', value: { rule: { $case: 'path', value: textMatcher(value) } } }
  }
  const pathTemplate = value.replaceAll('{**}', '**').replaceAll('{*}', '*')
  const typeName = 'envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig'
  const typedConfig = pack(typeName, UriTemplateMatchConfig, UriTemplateMatchConfig.fromPartial({ pathTemplate }))
  return { $case: 'uriTemplate', value: { name: 'uri-template', typedConfig } }
}

/** `experimental.envoy.filters.a.b[c]`: the key `c` of what the filter left; `[v]` is a list that has `v`. */
function metadataCondition({ key, values, notValues }: Condition): Clause<Permission> {
  const bracket = key.indexOf('[')
  const filter = key.slice(prefixes.metadata.length, bracket)
  const name = key.slice(bracket + 1, key.endsWith(']') ? -1 : undefined)
  const one = (value: string) => {
    const inList = value.startsWith('[') && value.endsWith(']')
    return inList ? listValue(textValue(textMatcher(value.slice(1, -1)))) : textValue(textMatcher(value))
  }
  return {
    values,
    notValues,
    httpOnly: false,
    anyOf: (some) => permission({ $case: 'metadata', value: metadataMatcher(filter, [name], anyValue(some.map(one))) }),
  }
}

const authenticated = (principalName: ReturnType<typeof textMatcher>): Identifier => ({
  $case: 'authenticated',
  value: { principalName },
})

const peer = (value: string): Identifier => authenticated(textMatcher(value, { lead: 'spiffe://' }))

const peerNamespace = (value: string): Identifier =>
  authenticated(regexMatcher(`.*/ns/${quote(value).replaceAll('\\*', '.*')}/.*`))

/** `name` or `namespace/name`, in any trust domain; SPIFFE ids may have further parts between. */
function serviceAccount(value: string, ownNamespace: string): Identifier {
  const slash = value.indexOf('/')
  const namespace = slash < 0 ? ownNamespace : value.slice(0, slash)
  return authenticated(regexMatcher(`spiffe://.+/ns/${quote(namespace)}/(.+/|)sa/${quote(value.slice(slash + 1))}(/.+)?`))
}

const peerAddress = (value: string): Identifier => ({ $case: 'directRemoteIp', value: addressRange(value) })

const remoteAddress = (value: string): Identifier => ({ $case: 'remoteIp', value: addressRange(value) })

function claim(names: readonly string[], { values, notValues }: Values): Clause<Principal> {
  return {
    values,
    notValues,
    httpOnly: true,
    anyOf: (some) => principal({ $case: 'metadata', value: claimAmong(names, some) }),
  }
}

function requestPrincipals({ values, notValues }: Values): Clause<Principal> {
  const one = (value: string): Principal => {
    const { issuer, subject } = principalClaims(value)
    const ids = [
      principal({ $case: 'metadata', value: claimMatcher(['iss'], textValue(issuer)) }),
      principal({ $case: 'metadata', value: claimMatcher(['sub'], textValue(subject)) }),
    ]
    return principal({ $case: 'andIds', value: { ids } })
  }
  return {
    values,
    notValues,
    httpOnly: true,
    anyOf: (some) => {
      const ids = some.map(one)
      return ids.length === 1 && ids[0] !== undefined ? ids[0] : principal({ $case: 'orIds', value: { ids } })
    },
  }
}
