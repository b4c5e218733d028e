import { manifestOf } from '@weft/attributes/manifest'
import type { ValueType } from '@weft/attributes/types'
import type { RawObject } from '@weft/config/objects'
import type { Problem } from '@weft/config/problem'
import { type AdapterCatalogue, foreignAdapters } from '../adapters/catalogue.ts'
import type { Plan } from '../dispatch/plan.ts'
import { isTemplateName, templates } from '../templates/catalogue.ts'
import type { SharedMaps } from '../templates/instance-builder.ts'
import type { Acquired, HandlerTable } from './handler-table.ts'
import { addManifest } from './kinds/attribute-manifest.ts'
import { checkAdapterDeclaration, checkTemplateDeclaration } from './kinds/declarations.ts'
import { type HandlerSpec, knownAdapters, noAdapter, readHandler } from './kinds/handler.ts'
import { type CompiledInstance, compileInstanceObject } from './kinds/instance.ts'
import { type CompiledRule, compileRule } from './kinds/rule.ts'
import { type MixerObject, mixerObject, problemOf, type Report } from './mixer-object.ts'
import { planRules } from './plan-rules.ts'

/** Kinds of the same API group that are the sidecar configuration's, and so Pilot's. */
const pilotKinds: ReadonlySet<string> = new Set([
  'QuotaSpec',
  'QuotaSpecBinding',
  'HTTPAPISpec',
  'HTTPAPISpecBinding',
  'RouteRule',
  'EgressRule',
  'DestinationPolicy',
  'DestinationRule',
  'IngressRule',
])

export interface Compiled {
  readonly plan: Plan
  readonly problems: readonly Problem[]
  /** The objects that are in force. */
  readonly accepted: readonly MixerObject[]
  /** The keys of the objects that are not. */
  readonly refused: ReadonlySet<string>
  /** Exactly one of these has to be called: it takes over the plan's handlers, or closes those opened for it. */
  readonly commit: Acquired['commit']
  readonly abandon: Acquired['abandon']
}

/**
 * Compiles a configuration: manifests, then instances and handlers, then the rules that join them. A bad object is
 * refused alone, with its line; what refers to it is refused with it or loses that part.
 */
export async function compileConfig(
  raws: Iterable<RawObject>,
  adapters: AdapterCatalogue,
  handlers: HandlerTable,
): Promise<Compiled> {
  const problems: Problem[] = []
  const refused = new Set<string>()
  const report: Report = (object, path, message, hint, severity = 'error') => {
    problems.push(problemOf(object, path, message, hint, severity))
    if (severity === 'error') refused.add(object.key)
  }
  const objects = [...raws]
    .filter(({ apiVersion, kind }) => apiVersion.startsWith('config.istio.io/') && !pilotKinds.has(kind))
    .map(mixerObject)
  const sorted = sortByKind(objects, adapters, report)

  const attributes = new Map<string, { type: ValueType; declaredBy: MixerObject }>()
  for (const object of sorted.manifests) addManifest(object, attributes, report)
  const manifest = manifestOf(new Map([...attributes].map(([name, { type }]) => [name, type])))

  for (const object of sorted.adapters) checkAdapterDeclaration(object, report)
  for (const object of sorted.templates) checkTemplateDeclaration(object, report)

  const instances = new Map<string, CompiledInstance>()
  const sharedMaps: SharedMaps = new Map()
  for (const object of sorted.instances) {
    const instance = compileInstanceObject(object, manifest, report, sharedMaps)
    if (instance !== undefined) instances.set(object.fullName, instance)
  }
  const handlerSpecs = new Map<string, HandlerSpec>()
  for (const object of sorted.handlers) {
    const handler = await readHandler(object, adapters, report)
    if (handler !== undefined) handlerSpecs.set(object.fullName, handler)
  }
  const rules: CompiledRule[] = []
  for (const object of sorted.rules) {
    const rule = compileRule(object, manifest, report)
    if (rule !== undefined) rules.push(rule)
  }
  const { plan, commit, abandon } = await planRules(rules, handlerSpecs, instances, handlers, report)
  return { plan, problems, accepted: objects.filter(({ key }) => !refused.has(key)), refused, commit, abandon }
}

interface Sorted {
  manifests: MixerObject[]
  adapters: MixerObject[]
  templates: MixerObject[]
  instances: MixerObject[]
  handlers: MixerObject[]
  rules: MixerObject[]
}

function sortByKind(objects: readonly MixerObject[], adapters: AdapterCatalogue, report: Report): Sorted {
  const sorted: Sorted = { manifests: [], adapters: [], templates: [], instances: [], handlers: [], rules: [] }
  for (const object of objects) {
    const { kind } = object
    if (kind === 'attributemanifest') sorted.manifests.push(object)
    else if (kind === 'rule') sorted.rules.push(object)
    else if (kind === 'adapter') sorted.adapters.push(object)
    else if (kind === 'template') sorted.templates.push(object)
    else if (kind === 'instance' || isTemplateName(kind)) sorted.instances.push(object)
    else if (kind === 'handler' || adapters.has(kind)) sorted.handlers.push(object)
    else if (foreignAdapters.has(kind)) report(object, ['kind'], noAdapter(kind), knownAdapters(adapters))
    else {
      const known = [
        'attributemanifest',
        'instance',
        'handler',
        'rule',
        'adapter',
        'template',
        ...Object.keys(templates),
        ...adapters.names(),
      ]
      report(object, ['kind'], `unknown kind '${kind}'`, `there are ${known.join(', ')}`)
    }
  }
  return sorted
}
