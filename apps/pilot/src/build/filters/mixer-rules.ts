import { isRecord } from '@weft/config/document'
import type { RawObject } from '@weft/config/objects'
import { QuotaSpec } from '@weft/contracts/istio/mixer/v1/config/client/quota'
import { fullHost } from '../../model/host.ts'
import type { Service } from '../../model/service.ts'
import type { Snapshot } from '../../model/snapshot.ts'

/** What a request's destination is, as far as Pilot knows it before there is a request. */
export interface Destination {
  readonly service: Service
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly workloadName: string
}

/** Whether some rule of Mixer can act on a destination: before the request (check), or after it (report). */
export interface MixerNeed {
  readonly check: boolean
  readonly report: boolean
}

/** Templates whose instances are asked before a request, and those that only hear of it afterwards. */
const checkTemplates: ReadonlySet<string> = new Set(['checknothing', 'listentry', 'quota', 'apikey', 'authorization'])
const reportTemplates: ReadonlySet<string> = new Set(['metric', 'logentry', 'tracespan', 'edge', 'reportnothing'])

interface Rule {
  readonly namespace: string
  readonly match: string
  readonly check: boolean
  readonly report: boolean
}

const rulesBySnapshot = new WeakMap<Snapshot['rawObjects'], readonly Rule[]>()

/** What Mixer's rules ask of a destination. Where a rule cannot be ruled out, it counts. */
export function mixerNeed(snapshot: Snapshot, destination: Destination): MixerNeed {
  let check = false
  let report = false
  for (const rule of rulesOf(snapshot)) {
    if (check && report) break
    // Rules of the root namespace hold for the mesh, any other's for its own services.
    if (rule.namespace !== snapshot.mesh.rootNamespace && rule.namespace !== destination.service.namespace) continue
    if (!canMatch(rule.match, destination)) continue
    check ||= rule.check
    report ||= rule.report
  }
  return { check, report }
}

function rulesOf(snapshot: Snapshot): readonly Rule[] {
  let rules = rulesBySnapshot.get(snapshot.rawObjects)
  if (rules === undefined) {
    const raw = [...snapshot.rawObjects.values()]
    const templates = instanceTemplates(raw)
    rules = raw.filter((object) => object.kind === 'rule').map((object) => readRule(object, templates))
    rulesBySnapshot.set(snapshot.rawObjects, rules)
  }
  return rules
}

/** `namespace/name` of each object of kind `instance`, with its template. */
function instanceTemplates(objects: readonly RawObject[]): ReadonlyMap<string, string> {
  const templates = new Map<string, string>()
  for (const { kind, metadata, document } of objects) {
    if (kind !== 'instance') continue
    const spec = document.value['spec']
    const template = isRecord(spec) ? (spec['compiledTemplate'] ?? spec['template']) : undefined
    if (typeof template === 'string')
      templates.set(`${metadata.namespace}/${metadata.name}`, template.split('.', 1)[0] ?? template)
  }
  return templates
}

function readRule({ metadata, document }: RawObject, templates: ReadonlyMap<string, string>): Rule {
  const spec = isRecord(document.value['spec']) ? document.value['spec'] : {}
  const match = typeof spec['match'] === 'string' ? spec['match'] : ''
  const actions = Array.isArray(spec['actions']) ? spec['actions'] : []
  const instances = actions.flatMap((action: unknown) =>
    isRecord(action) && Array.isArray(action['instances']) ? action['instances'] : [],
  )
  let check = false
  let report = false
  for (const instance of instances) {
    const template = typeof instance === 'string' ? templateOf(instance, metadata.namespace, templates) : ''
    // An adapter of the user's own may have any template: then both are possible.
    check ||= !reportTemplates.has(template)
    report ||= !checkTemplates.has(template)
  }
  return { namespace: metadata.namespace, match, check, report }
}

/** `requestcount.quota`, `requestcount.quota.istio-system`, `name` or `name.namespace` of an `instance`. */
function templateOf(reference: string, namespace: string, templates: ReadonlyMap<string, string>): string {
  const [name = '', second, third] = reference.split('.')
  if (second !== undefined && (checkTemplates.has(second) || reportTemplates.has(second))) return second
  return templates.get(`${third ?? second ?? namespace}/${name}`) ?? templates.get(`${namespace}/${name}`) ?? ''
}

/**
 * Whether a match expression can hold for a destination. Only a conjunction of plain comparisons of what is known is
 * judged (`destination.service.host == "…" && …`); anything else can.
 */
export function canMatch(expression: string, destination: Destination): boolean {
  // `|` binds closer than `&&`: it stays within its part, which is then no plain comparison.
  if (/\|\||!\s*\(/.test(expression)) return true
  return expression.split('&&').every((part) => {
    const comparison = /^\s*\(?\s*([a-z.]+)(?:\["([^"]*)"\])?\s*==\s*"([^"]*)"\s*\)?\s*$/.exec(part)
    if (comparison === null) return true
    const [, attribute = '', key, value = ''] = comparison
    const known = knownValue(attribute, key, destination)
    return known === undefined || known === value
  })
}

function knownValue(attribute: string, key: string | undefined, { service, namespace, labels, workloadName }: Destination) {
  if (attribute === 'destination.labels' && key !== undefined) return labels[key] ?? ''
  const values: Record<string, string> = {
    'destination.service': service.host,
    'destination.service.host': service.host,
    'destination.service.name': service.name,
    'destination.service.namespace': service.namespace,
    'destination.namespace': namespace,
    'destination.workload.name': workloadName,
    'destination.workload.namespace': namespace,
    'context.reporter.kind': 'inbound',
    'context.reporter.local': 'true',
  }
  return key === undefined ? values[attribute] : undefined
}

/** The QuotaSpecs that QuotaSpecBindings bind to a service. */
export function quotaSpecsFor(snapshot: Snapshot, service: Service): QuotaSpec[] {
  const raw = [...snapshot.rawObjects.values()]
  const specs: QuotaSpec[] = []
  for (const { kind, metadata, document } of raw) {
    if (kind !== 'QuotaSpecBinding') continue
    const spec = isRecord(document.value['spec']) ? document.value['spec'] : {}
    if (!list(spec['services']).some((bound) => bindsTo(bound, metadata.namespace, service, snapshot.mesh.domain))) continue
    for (const reference of list(spec['quotaSpecs'])) {
      const name = text(reference['name'])
      const namespace = text(reference['namespace']) || metadata.namespace
      const found = raw.find(
        (other) => other.kind === 'QuotaSpec' && other.metadata.name === name && other.metadata.namespace === namespace,
      )
      if (found !== undefined) specs.push(readQuotaSpec(found))
    }
  }
  return specs
}

function bindsTo(bound: Record<string, unknown>, namespace: string, service: Service, domain: string): boolean {
  const host = text(bound['service'])
  if (host === '*') return true
  if (host !== '') return fullHost(host, namespace, domain) === service.host
  return fullHost(text(bound['name']), text(bound['namespace']) || namespace, text(bound['domain']) || domain) === service.host
}

function readQuotaSpec({ document }: RawObject): QuotaSpec {
  const spec = isRecord(document.value['spec']) ? document.value['spec'] : {}
  return QuotaSpec.fromPartial({
    rules: list(spec['rules']).map((rule) => ({
      quotas: list(rule['quotas']).map((quota) => ({ quota: text(quota['quota']), charge: Number(quota['charge'] ?? 1) })),
      match: list(rule['match']).map((match) => ({ clause: clauses(match['clause']) })),
    })),
  })
}

function clauses(value: unknown) {
  const read: Record<string, { matchType: { $case: 'exact' | 'prefix' | 'regex'; value: string } }> = {}
  for (const [attribute, match] of Object.entries(isRecord(value) ? value : {})) {
    for (const type of ['exact', 'prefix', 'regex'] as const) {
      if (isRecord(match) && typeof match[type] === 'string') read[attribute] = { matchType: { $case: type, value: match[type] } }
    }
  }
  return read
}

function list(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
