import type {
  AuthorizationPolicy,
  Condition,
  Operation,
  Rule,
  Source,
} from '@weft/contracts/istio/security/v1beta1/authorization_policy'
import { isRecord } from '../document.ts'
import { isAddressOrBlock } from './hosts.ts'
import type { Report } from './report.ts'
import { checkTargets } from './target-refs.ts'

type Action = 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM'
const actions: readonly Action[] = ['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']

/** The rules of an AuthorizationPolicy; `raw` is its spec as written, which tells an empty list from none. */
export function checkAuthorizationPolicy(
  spec: AuthorizationPolicy,
  raw: unknown,
  annotations: Readonly<Record<string, string>>,
  report: Report,
): void {
  const action = actions[spec.action] ?? 'ALLOW'
  checkDryRun(annotations['istio.io/dry-run'], action, report)
  checkTargets(spec, report)
  if (action === 'CUSTOM') {
    if (spec.rules.length === 0)
      report.at('rules').error('CUSTOM action without rules is meaningless as it will never be triggered')
    if (spec.actionDetail === undefined || spec.actionDetail.value.name === '')
      report.at('provider').error('CUSTOM must have a provider with a name')
  } else if (spec.actionDetail !== undefined) report.at('provider').error('a provider is for CUSTOM alone')
  if (action === 'DENY' && spec.rules.length === 0) {
    report.at('rules').error('DENY action without rules is meaningless as it will never be triggered', 'rules: [{}] denies all')
  }
  const written = isRecord(raw) && Array.isArray(raw['rules']) ? raw['rules'] : []
  for (const [index, rule] of spec.rules.entries()) checkRule(rule, written[index], action, report.at('rules', index))
}

function checkDryRun(value: string | undefined, action: Action, report: Report): void {
  if (value === undefined) return
  if (!['true', 'false', '1', '0', 't', 'f', 'T', 'F', 'TRUE', 'FALSE', 'True', 'False'].includes(value)) {
    report.error(`the annotation istio.io/dry-run is true or false, not "${value}"`)
  }
  if (action === 'CUSTOM' || action === 'AUDIT') report.error(`the annotation istio.io/dry-run is not supported with ${action}`)
}

function checkRule(rule: Rule, raw: unknown, action: Action, report: Report): void {
  const written = isRecord(raw) ? raw : {}
  if ('from' in written && rule.from.length === 0)
    report.at('from').error('from cannot be empty', 'leave it out, or name a source')
  if ('to' in written && rule.to.length === 0) report.at('to').error('to cannot be empty', 'leave it out, or name an operation')
  for (const [index, { source }] of rule.from.entries()) {
    const at = report.at('from', index, 'source')
    checkSource(source, at)
    // Operations that name ports keep the rule from TCP; those that do not are told of themselves.
    if (action === 'DENY' && rule.to.length === 0 && source !== undefined && isOfTokensAlone(source)) warnTcp(at)
  }
  for (const [index, { operation }] of rule.to.entries()) checkOperation(operation, action, report.at('to', index, 'operation'))
  for (const [index, condition] of rule.when.entries()) checkCondition(condition, report.at('when', index))
}

const sourceLists = [
  'principals',
  'requestPrincipals',
  'namespaces',
  'ipBlocks',
  'remoteIpBlocks',
  'serviceAccounts',
  'notPrincipals',
  'notRequestPrincipals',
  'notNamespaces',
  'notIpBlocks',
  'notRemoteIpBlocks',
  'notServiceAccounts',
] as const

function checkSource(source: Source | undefined, report: Report): void {
  if (source === undefined || sourceLists.every((list) => source[list].length === 0)) {
    report.error('source cannot be empty', 'such as principals or namespaces')
    return
  }
  for (const list of sourceLists) {
    for (const [index, value] of source[list].entries()) {
      const at = report.at(list, index)
      if (value === '') at.error('a value may not be empty')
      else if (/ipblocks/i.test(list) && !isAddressOrBlock(value)) at.error(`"${value}" is no IP address and no CIDR block`)
      else if (/serviceaccounts/i.test(list) && (value.split('/').length > 2 || value.includes('*'))) {
        at.error(`"${value}" is no service account: NAMESPACE/NAME or NAME`)
      }
    }
  }
  const accounts = source.serviceAccounts.length + source.notServiceAccounts.length
  const others = [source.principals, source.notPrincipals, source.namespaces, source.notNamespaces]
  if (accounts > 0 && others.some((list) => list.length > 0)) report.error('serviceAccounts excludes principals and namespaces')
}

/** Whether all that it says of a source is what its token says, of which a TCP connection has none. */
function isOfTokensAlone(source: Source): boolean {
  const said = sourceLists.filter((list) => source[list].length > 0)
  return said.length > 0 && said.every((list) => /requestPrincipals/i.test(list))
}

const operationLists = ['hosts', 'ports', 'methods', 'paths', 'notHosts', 'notPorts', 'notMethods', 'notPaths'] as const

function checkOperation(operation: Operation | undefined, action: string, report: Report): void {
  if (operation === undefined || operationLists.every((list) => operation[list].length === 0)) {
    report.error('operation cannot be empty', 'such as methods or paths')
    return
  }
  for (const list of operationLists) {
    for (const [index, value] of operation[list].entries()) {
      const at = report.at(list, index)
      if (value === '') at.error('a value may not be empty')
      else if (/ports/i.test(list) && (!/^\d{1,5}$/.test(value) || Number(value) < 1 || Number(value) > 65_535))
        at.error(`"${value}" is no port`)
      else if (/paths/i.test(list)) checkPath(value, at)
    }
  }
  const http = operationLists.filter((list) => !/ports/i.test(list)).some((list) => operation[list].length > 0)
  const ports = operation.ports.length + operation.notPorts.length > 0
  if (action === 'DENY' && http && !ports) warnTcp(report)
}

/** A path may have a star at one end, or be a template: `{*}` is a whole segment, `{**}` all that follows. */
function checkPath(path: string, report: Report): void {
  const isTemplate = path.includes('{*}') || path.includes('{**}')
  if (!isTemplate && !/[{}]/.test(path)) return
  const segments = path.replace(/^\/|\/$/g, '').split('/')
  for (const [index, segment] of segments.entries()) {
    if (segment === '{*}') continue
    if (segment === '{**}') {
      if (index < segments.length - 1 && segments.slice(index + 1).some((later) => /[{}]/.test(later))) {
        report.error(`invalid path "${path}": {**} is not the last operator`)
      }
    } else if (/[{}]/.test(segment)) report.error(`invalid path "${path}": "${segment}" is neither {*}, {**} nor plain text`)
    else if (segment.includes('*')) report.error(`invalid path "${path}": contains "*" beyond a supported path template`)
    else if (!/^[\w\-.~%!$&'()+,;:@=]+$/.test(segment))
      report.error(`invalid path "${path}": "${segment}" can't stand in a path template`)
  }
  if (isTemplate && !path.startsWith('/')) report.error(`invalid path "${path}": a path template begins with /`)
}

function warnTcp(report: Report): void {
  report.warn(
    'configured a DENY rule with HTTP attributes and no ports: on TCP ports they are missing, and all traffic there is denied',
    'add ports',
  )
}

const keys =
  /^(source\.(ip|namespace|principal|serviceAccount)|remote\.ip|request\.auth\.(principal|audiences|presenter)|request\.auth\.claims\[.+\].*|request\.headers\[.+\]|destination\.(ip|port)|connection\.sni|experimental\.envoy\.filters\..+)$/

function checkCondition({ key, values, notValues }: Condition, report: Report): void {
  if (key === '') {
    report.at('key').error('key must be set')
    return
  }
  if (!keys.test(key)) report.at('key').error(`unknown key "${key}"`)
  if (values.length + notValues.length === 0) report.error('values or notValues must be set')
  for (const [list, given] of [
    ['values', values],
    ['notValues', notValues],
  ] as const) {
    for (const [index, value] of given.entries()) {
      const at = report.at(list, index)
      if (value === '') at.error('a value may not be empty')
      else if (/\.ip$/.test(key) && !isAddressOrBlock(value)) at.error(`"${value}" is no IP address and no CIDR block`)
      else if (key === 'destination.port' && !(Number(value) >= 1 && Number(value) <= 65_535)) at.error(`"${value}" is no port`)
    }
  }
}
