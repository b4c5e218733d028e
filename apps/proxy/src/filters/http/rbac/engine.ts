import type { CidrRange } from '@weft/contracts/envoy/config/core/v3/address'
import {
  Action,
  MetadataSource,
  type Permission,
  type Policy,
  type Principal,
  type RBAC,
  RBAC_Action,
  type SourcedMetadata,
} from '@weft/contracts/envoy/config/rbac/v3/rbac'
import { UriTemplateMatchConfig } from '@weft/contracts/envoy/extensions/path/match/uri_template/v3/uri_template_match'
import type { Int32Range } from '@weft/contracts/envoy/type/v3/range'
import type { Any } from '@weft/contracts/google/protobuf/any'
import type { Matcher } from '@weft/contracts/xds/type/matcher/v3/matcher'
import { compileChecked, compileParsed } from '../../../expressions/expression.ts'
import type { FormatContext } from '../../../observe/format/context.ts'
import { invalid, unsupported } from '../../../plan/problems.ts'
import { compileFilterStateMatcher } from '../../../routing/matchers/filter-state-matcher.ts'
import { compileHeaderMatcher } from '../../../routing/matchers/header-matcher.ts'
import type { MatchMoment } from '../../../routing/matchers/match-input.ts'
import { compileMatchTree } from '../../../routing/matchers/matcher-tree.ts'
import { compileMetadataMatcher } from '../../../routing/matchers/metadata-matcher.ts'
import { compileStringMatcher } from '../../../routing/matchers/string-matcher.ts'
import { compileUriTemplate } from '../../../routing/matchers/uri-template.ts'
import { pathOnly } from '../../../routing/route-match.ts'
import { compileRanges } from '../../../transport/address.ts'
import type { HttpStream } from '../filter.ts'

/** Says whether a rule holds for a request. */
type Rule = (stream: RbacSubject) => boolean

/** What rules ask about: a request, or a connection that has none. */
export type RbacSubject = Pick<HttpStream, 'request' | 'connection' | 'metadata' | 'metadataOrNull' | 'filterState' | 'route'> & {
  readonly info: Pick<HttpStream['info'], 'downstreamRemoteAddress'>
  /** What conditions read. */
  readonly format: FormatContext
}

/** What the rules say of a request: whether it may pass, and the policy that decided (null: none matched). */
export interface Verdict {
  allowed: boolean
  policy: string | null
}

/** What an RBAC filter is given, for requests and for connections. */
interface EngineSource {
  rules?: RBAC | undefined
  matcher?: Matcher | undefined
  shadowRules?: RBAC | undefined
  shadowMatcher?: Matcher | undefined
}

/** Compiles the rules, or the tree of matchers that stands before them, and the same that only tell. */
export function compileEngines(
  source: EngineSource,
  path: string,
  moment: MatchMoment,
): { rules: Engine | null; shadow: Engine | null } {
  const one = (rules: RBAC | undefined, tree: Matcher | undefined, names: [rules: string, tree: string]): Engine | null => {
    if (tree !== undefined) return compileTreeEngine(tree, `${path}.${names[1]}`, moment)
    return rules === undefined ? null : compileEngine(rules, `${path}.${names[0]}`)
  }
  return {
    rules: one(source.rules, source.matcher, ['rules', 'matcher']),
    shadow: one(source.shadowRules, source.shadowMatcher, ['shadow_rules', 'shadow_matcher']),
  }
}

type Engine = (stream: RbacSubject) => Verdict

/** Compiles RBAC rules: policies in the order of their names, the first that matches decides. */
export function compileEngine(rules: RBAC, path: string): (stream: RbacSubject) => Verdict {
  if (rules.action === RBAC_Action.UNRECOGNIZED) throw invalid(`${path}.action`, 'this RBAC action is not known')
  const allow = rules.action !== RBAC_Action.DENY
  const logs = rules.action === RBAC_Action.LOG
  const policies = Object.keys(rules.policies)
    .sort()
    .map((name) => {
      const policy = rules.policies[name]!
      const at = `${path}.policies['${name}']`
      const permissions = policy.permissions.map((one, i) => compilePermission(one, `${at}.permissions[${i}]`))
      const principals = policy.principals.map((one, i) => compilePrincipal(one, `${at}.principals[${i}]`))
      const verdict: Verdict = { allowed: allow, policy: name }
      return { verdict, permitted: anyOf(permissions), identified: anyOf(principals), holds: compileCondition(policy, at) }
    })
  const unmatched: Verdict = { allowed: !allow || logs, policy: null }
  const decide = (stream: RbacSubject): Verdict => {
    for (let i = 0; i < policies.length; i++) {
      const { permitted, identified, holds, verdict } = policies[i]!
      if (permitted(stream) && identified(stream) && (holds === null || holds(stream))) return verdict
    }
    return unmatched
  }
  if (!logs) return decide
  return (stream) => {
    const verdict = decide(stream)
    hintLogs(stream, verdict.policy !== null)
    return verdict
  }
}

/** A condition holds where it gives true: not where it gives an error, or anything else. */
function compileCondition({ condition, checkedCondition }: Policy, path: string): Rule | null {
  if (condition === undefined && checkedCondition?.expr === undefined) return null
  const evaluate =
    checkedCondition?.expr === undefined
      ? compileParsed(condition, `${path}.condition`)
      : compileChecked(checkedCondition, `${path}.checked_condition`)
  return (stream) => evaluate(stream.format) === true
}

/** LOG refuses nothing: access logs are told whether a policy held (Envoy's `access_log_hint`). */
function hintLogs(stream: RbacSubject, held: boolean): void {
  stream.metadata('envoy.common')['access_log_hint'] = held
}

/** Compiles a tree of matchers that ends in RBAC actions; what matches none is refused. */
function compileTreeEngine(tree: Matcher, path: string, moment: MatchMoment): (stream: RbacSubject) => Verdict {
  const actionOf = (config: Any, at: string) => {
    if (!config.typeUrl.endsWith('/envoy.config.rbac.v3.Action')) throw unsupported(at, `the action '${config.typeUrl}'`)
    const { name, action } = Action.decode(config.value)
    return { action, verdict: { allowed: action !== RBAC_Action.DENY, policy: name } }
  }
  const decide = compileMatchTree(tree, path, actionOf, moment)
  const unmatched: Verdict = { allowed: false, policy: null }
  return (stream) => {
    const found = decide(stream)
    if (found === null) return unmatched
    if (found.action === RBAC_Action.LOG) hintLogs(stream, true)
    return found.verdict
  }
}

function anyOf(rules: readonly Rule[]): Rule {
  const [first, second] = rules
  if (first !== undefined && second === undefined) return first
  return (stream) => {
    for (let i = 0; i < rules.length; i++) if (rules[i]!(stream)) return true
    return false
  }
}

function allOf(rules: readonly Rule[]): Rule {
  return (stream) => {
    for (let i = 0; i < rules.length; i++) if (!rules[i]!(stream)) return false
    return true
  }
}

function compilePermission(source: Permission, path: string): Rule {
  const { rule } = source
  if (rule === undefined) throw invalid(path, 'a rule is needed')
  switch (rule.$case) {
    case 'andRules':
      return allOf(rule.value.rules.map((one, i) => compilePermission(one, `${path}.and_rules.rules[${i}]`)))
    case 'orRules':
      return anyOf(rule.value.rules.map((one, i) => compilePermission(one, `${path}.or_rules.rules[${i}]`)))
    case 'notRule': {
      const inner = compilePermission(rule.value, `${path}.not_rule`)
      return (stream) => !inner(stream)
    }
    case 'any':
      return () => true
    case 'header': {
      const matches = compileHeaderMatcher(rule.value, `${path}.header`)
      return (stream) => matches(stream.request)
    }
    case 'urlPath':
      return urlPath(rule.value.rule?.value, `${path}.url_path`)
    case 'destinationIp':
      return inRange(rule.value, `${path}.destination_ip`, (stream) => stream.connection.localAddress)
    case 'destinationPort':
      return (stream) => stream.connection.localPort === rule.value
    case 'destinationPortRange':
      checkPortRange(rule.value, `${path}.destination_port_range`)
      return ({ connection }) => connection.localPort >= rule.value.start && connection.localPort < rule.value.end
    case 'metadata': {
      const matches = compileMetadataMatcher(rule.value, `${path}.metadata`)
      return (stream) => matches(stream.metadataOrNull)
    }
    case 'sourcedMetadata':
      return sourcedMetadata(rule.value, `${path}.sourced_metadata`)
    case 'requestedServerName': {
      const matches = compileStringMatcher(rule.value, `${path}.requested_server_name`)
      return (stream) => matches(stream.connection.serverName)
    }
    case 'uriTemplate': {
      const { typedConfig } = rule.value
      if (typedConfig?.typeUrl.endsWith('.uri_template.v3.UriTemplateMatchConfig') !== true)
        throw unsupported(`${path}.uri_template.typed_config`, 'this path matcher')
      const at = `${path}.uri_template.typed_config.path_template`
      const matches = compileUriTemplate(UriTemplateMatchConfig.decode(typedConfig.value).pathTemplate, at)
      return (stream) => matches(pathOnly(stream.request.path))
    }
    default:
      throw unsupported(path, `RBAC permission '${rule.$case}'`)
  }
}

function compilePrincipal(source: Principal, path: string): Rule {
  const { identifier } = source
  if (identifier === undefined) throw invalid(path, 'an identifier is needed')
  switch (identifier.$case) {
    case 'andIds':
      return allOf(identifier.value.ids.map((one, i) => compilePrincipal(one, `${path}.and_ids.ids[${i}]`)))
    case 'orIds':
      return anyOf(identifier.value.ids.map((one, i) => compilePrincipal(one, `${path}.or_ids.ids[${i}]`)))
    case 'notId': {
      const inner = compilePrincipal(identifier.value, `${path}.not_id`)
      return (stream) => !inner(stream)
    }
    case 'any':
      return () => true
    case 'authenticated': {
      const name = identifier.value.principalName
      if (name === undefined) return (stream) => stream.connection.tls?.peer != null
      const matches = compileStringMatcher(name, `${path}.authenticated.principal_name`)
      return (stream) => principalNames(stream).some(matches)
    }
    case 'sourceIp':
      return inRange(identifier.value, `${path}.source_ip`, (stream) => stream.connection.remoteAddress)
    case 'directRemoteIp':
      return inRange(
        identifier.value,
        `${path}.direct_remote_ip`,
        ({ connection }) => connection.directRemote?.address ?? connection.remoteAddress,
      )
    case 'remoteIp':
      return inRange(identifier.value, `${path}.remote_ip`, (stream) => stream.info.downstreamRemoteAddress)
    case 'header': {
      const matches = compileHeaderMatcher(identifier.value, `${path}.header`)
      return (stream) => matches(stream.request)
    }
    case 'urlPath':
      return urlPath(identifier.value.rule?.value, `${path}.url_path`)
    case 'metadata': {
      const matches = compileMetadataMatcher(identifier.value, `${path}.metadata`)
      return (stream) => matches(stream.metadataOrNull)
    }
    case 'sourcedMetadata':
      return sourcedMetadata(identifier.value, `${path}.sourced_metadata`)
    case 'filterState': {
      const { key, matcher } = identifier.value
      if (matcher === undefined) throw invalid(`${path}.filter_state`, 'a matcher is needed')
      const matches = compileFilterStateMatcher(matcher, `${path}.filter_state`)
      return (stream) => matches(stream.filterState.get(key))
    }
    case 'custom':
      throw unsupported(path, `RBAC principal '${identifier.value.name}'`)
  }
}

/** Metadata of the request, or of the route it takes. */
function sourcedMetadata({ metadataMatcher, metadataSource }: SourcedMetadata, path: string): Rule {
  if (metadataMatcher === undefined) throw invalid(`${path}.metadata_matcher`, 'must be set')
  const matches = compileMetadataMatcher(metadataMatcher, `${path}.metadata_matcher`)
  if (metadataSource === MetadataSource.ROUTE) return (stream) => matches(stream.route?.metadata ?? null)
  return (stream) => matches(stream.metadataOrNull)
}

/** URI names, else DNS names, else the subject, as Envoy reads a peer. */
function principalNames(stream: RbacSubject): readonly string[] {
  const peer = stream.connection.tls?.peer
  if (peer == null) return []
  if (peer.uris.length > 0) return peer.uris
  return peer.dnsNames.length > 0 ? peer.dnsNames : [peer.subject]
}

function urlPath(matcher: Parameters<typeof compileStringMatcher>[0] | undefined, path: string): Rule {
  if (matcher === undefined) throw invalid(path, 'a path matcher is needed')
  const matches = compileStringMatcher(matcher, `${path}.path`)
  return (stream) => matches(pathOnly(stream.request.path))
}

/** A range of ports without its end. */
function checkPortRange({ start, end }: Int32Range, path: string): void {
  if (start < 0 || start > 65536) throw invalid(`${path}.start`, `range start ${start} is out of bounds`)
  if (end < 0 || end > 65536) throw invalid(`${path}.end`, `range end ${end} is out of bounds`)
  if (start >= end) throw invalid(path, `range start ${start} cannot be greater or equal than range end ${end}`)
}

function inRange(range: CidrRange, path: string, read: (stream: RbacSubject) => string): Rule {
  const contains = compileRanges([range], path)
  return (stream) => contains(read(stream))
}
