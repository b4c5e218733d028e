import { isRecord } from '@weft/config/document'
import { WeftError } from '@weft/service/errors'
import { parse } from 'yaml'
import { checkAnnotations, names } from './annotations.ts'
import { mergePod } from './merge.ts'
import { type Container, findContainer, findSidecar, type Pod, proxyContainerName, readContainers, readPod } from './pod.ts'
import { rewriteProbes } from './probes.ts'
import { announceSecureMetrics, forgetMergedMetrics, mergeMetrics } from './prometheus.ts'
import { mergeProxyConfig, type ProxyConfig, parseProxyConfig } from './proxy-config.ts'
import type { InjectionSettings } from './settings.ts'
import type { Overlay, TemplateContext } from './templates/context.ts'
import { gatewayTemplate } from './templates/gateway.ts'
import { sidecarTemplate } from './templates/sidecar.ts'
import type { Workload } from './workload.ts'

export interface InjectionInput {
  pod: Pod
  workload: Workload
  settings: InjectionSettings
  /** ProxyConfig of the pod's namespace and labels, over the mesh's and below the pod's annotation. */
  proxyConfig?: ProxyConfig
  /** Environment variables for the proxy, such as those that the webhook's path names. */
  environment?: Readonly<Record<string, string>>
}

const builtIn: Readonly<Record<string, (context: TemplateContext) => Overlay>> = {
  sidecar: sidecarTemplate,
  gateway: gatewayTemplate,
}

/**
 * Injects a pod as Istio does: lays the templates over it, then the pod's own `istio-proxy` container over that; rewrites its
 * probes and puts its containers in order. Injecting what was injected gives the same. The pod given stays as it is. Throws
 * `invalid_argument` for annotations that can't be followed.
 */
export function injectPod(input: InjectionInput): Pod {
  const { settings, workload } = input
  const original = structuredClone(input.pod)
  const annotations = original.metadata.annotations ?? {}
  checkAnnotations(annotations)
  const earlier = earlierInjection(annotations)
  const overrides = earlierOverrides(annotations)
  const context: TemplateContext = {
    settings,
    workload,
    pod: withOverrides(withoutInjected(original, earlier, settings), overrides),
    proxyConfig: podProxyConfig(input, annotations),
  }
  let merged = original
  let template = readPod({ spec: {} })
  for (const overlay of selectTemplates(annotations, settings, context)) {
    template = readPod(mergePod(template, overlay))
    merged = readPod(mergePod(besideTemplate(merged, template), overlay))
  }
  merged = applyOverrides({ merged, original, template, earlier, overrides })
  followUser(merged, original, context)

  const environment = clusterEnvironment(input)
  setEnvironment(merged, environment)
  mergeMetrics(merged, settings)
  announceSecureMetrics(merged)
  rewriteProbes(merged, settings)
  merged.metadata.labels ??= {}
  merged.metadata.annotations ??= {}
  const network = environment['ISTIO_META_NETWORK']
  if (network !== undefined) merged.metadata.labels[names.network] = network
  merged.metadata.annotations[names.status] = statusOf(template, settings)
  Object.assign(merged.metadata.annotations, settings.values.sidecarInjectorWebhook.injectedAnnotations)
  orderContainers(merged, context)
  return merged
}

/** The proxy's settings: the mesh's, those for its namespace, and the annotation of the pod. */
function podProxyConfig(
  { settings, proxyConfig = {} }: InjectionInput,
  annotations: Readonly<Record<string, string>>,
): ProxyConfig {
  const own = annotations[names.proxyConfig]
  const base = mergeProxyConfig(settings.proxyConfig, proxyConfig)
  return own === undefined ? base : mergeProxyConfig(base, parseProxyConfig(own, names.proxyConfig))
}

/** The overlays that the pod asks for by name, or those of the mesh. */
function selectTemplates(
  annotations: Readonly<Record<string, string>>,
  { values }: InjectionSettings,
  context: TemplateContext,
): Overlay[] {
  const { templates, aliases, defaultTemplates } = values.sidecarInjectorWebhook
  const asked = annotations[names.templates]?.split(',').map((name) => name.trim())
  const wanted = asked ?? (defaultTemplates.length > 0 ? defaultTemplates : ['sidecar'])
  return wanted
    .flatMap((name) => (Object.hasOwn(aliases, name) ? (aliases[name] ?? []) : [name]))
    .map((name) => {
      if (Object.hasOwn(templates, name)) return customTemplate(name, templates[name] ?? '')
      const make = Object.hasOwn(builtIn, name) ? builtIn[name] : undefined
      if (make !== undefined) return make(context)
      const known = [...Object.keys(builtIn), ...Object.keys(templates)].sort().join(', ')
      throw new WeftError('invalid_argument', `requested template "${name}" not found; have ${known}`, {
        where: { path: `metadata.annotations["${names.templates}"]` },
        hint: 'ask for one of those, with commas between several',
      })
    })
}

/** A template of the operator's: part of a pod in YAML. */
function customTemplate(name: string, yaml: string): Overlay {
  const where = { path: `sidecarInjectorWebhook.templates.${name}` }
  if (yaml.includes('{{')) {
    throw new WeftError('unimplemented', `the template ${name} is a Go template, which is not run here`, {
      where,
      hint: 'write the part of the pod as plain YAML; it is laid over the pod',
    })
  }
  let overlay: unknown
  try {
    overlay = parse(yaml, { maxAliasCount: 100, prettyErrors: false }) ?? {}
  } catch (thrown) {
    throw new WeftError('invalid_argument', `broken YAML: ${WeftError.from(thrown).message}`, { where })
  }
  if (!isRecord(overlay)) throw new WeftError('invalid_argument', 'a template must be part of a pod', { where })
  return overlay
}

/** What an earlier injection says it added. */
interface EarlierInjection {
  containers: readonly string[]
  initContainers: readonly string[]
}

function earlierInjection(annotations: Readonly<Record<string, string>>): EarlierInjection | undefined {
  try {
    const status: unknown = JSON.parse(annotations[names.status] ?? '')
    if (!isRecord(status)) return undefined
    const list = (value: unknown): string[] =>
      Array.isArray(value) ? value.filter((name): name is string => typeof name === 'string') : []
    return { containers: list(status['containers']), initContainers: list(status['initContainers']) }
  } catch {
    return undefined
  }
}

interface Overrides {
  containers: Container[]
  initContainers: Container[]
}

/** The pod's own settings for injected containers, as they were kept at its first injection. */
function earlierOverrides(annotations: Readonly<Record<string, string>>): Overrides {
  const text = annotations[names.overrides]
  let value: unknown
  try {
    value = text === undefined ? {} : JSON.parse(text)
  } catch {
    value = undefined
  }
  if (!isRecord(value)) {
    throw new WeftError('invalid_argument', `the annotation ${names.overrides} is no JSON object`, {
      where: { path: `metadata.annotations["${names.overrides}"]` },
      hint: 'injection writes it; remove it',
    })
  }
  return {
    containers: readContainers(value['containers'], names.overrides),
    initContainers: readContainers(value['initContainers'], names.overrides),
  }
}

/** The pod without the containers and annotations of an earlier injection. */
function withoutInjected(pod: Pod, earlier: EarlierInjection | undefined, { proxyConfig }: InjectionSettings): Pod {
  if (earlier === undefined) return pod
  const { [names.status]: _, ...annotations } = pod.metadata.annotations ?? {}
  forgetMergedMetrics(annotations, proxyConfig.statusPort ?? 15_020)
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations },
    spec: {
      ...pod.spec,
      containers: pod.spec.containers.filter(({ name }) => !earlier.containers.includes(name)),
      initContainers: pod.spec.initContainers?.filter(({ name }) => !earlier.initContainers.includes(name)),
    },
  }
}

/** The pod with its own injected containers back in it, so that templates see them as at the first injection. */
function withOverrides(pod: Pod, { containers, initContainers }: Overrides): Pod {
  const missing = (wanted: Container[], have: Container[] = []): Container[] =>
    wanted.filter(({ name }) => findContainer(have, name) === undefined)
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: [...pod.spec.containers, ...missing(containers, pod.spec.containers)],
      initContainers: [...(pod.spec.initContainers ?? []), ...missing(initContainers, pod.spec.initContainers)],
    },
  }
}

/** A pod's own `istio-proxy` container is put where the template has it: among the init containers of a native sidecar. */
function besideTemplate(pod: Pod, template: Pod): Pod {
  const own = findContainer(pod.spec.containers, proxyContainerName)
  if (own === undefined || findContainer(template.spec.initContainers, proxyContainerName) === undefined) return pod
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: pod.spec.containers.filter((container) => container !== own),
      initContainers: [...(pod.spec.initContainers ?? []), own],
    },
  }
}

interface OverrideInput {
  merged: Pod
  original: Pod
  template: Pod
  earlier: EarlierInjection | undefined
  overrides: Overrides
}

/** Lays the pod's own settings for injected containers over the templates', and keeps them for the next injection. */
function applyOverrides({ merged, original, template, earlier, overrides }: OverrideInput): Pod {
  const kept: Partial<Overrides> = {}
  let result = merged
  for (const list of ['containers', 'initContainers'] as const) {
    for (const { name } of template.spec[list] ?? []) {
      // What an earlier injection added is no setting of the pod's.
      const added = earlier?.[list].includes(name)
      const own = findContainer(overrides[list], name) ?? (added ? undefined : ownContainer(original, list, name))
      if (own === undefined) continue
      // A container must have an image; `auto` stands for the injected one.
      const { image, ...rest } = own
      const overlay = image === undefined || image === 'auto' ? rest : own
      kept[list] = [...(kept[list] ?? []), overlay]
      result = readPod(mergePod(result, { spec: { [list]: [overlay] } }))
    }
  }
  if (earlier === undefined && Object.keys(kept).length > 0) {
    result.metadata.annotations = { ...result.metadata.annotations, [names.overrides]: JSON.stringify(kept) }
  }
  return result
}

function ownContainer({ spec }: Pod, list: 'containers' | 'initContainers', name: string): Container | undefined {
  return (
    findContainer(spec.containers, name) ?? (list === 'initContainers' ? findContainer(spec.initContainers, name) : undefined)
  )
}

/** When the pod says as which user its proxy runs, the packet filter leaves that user's connections alone. */
function followUser(merged: Pod, original: Pod, { proxyConfig }: TemplateContext): void {
  const own = findSidecar(original)?.securityContext
  const { initContainers } = merged.spec
  const init = findContainer(initContainers, 'istio-init') ?? findContainer(initContainers, 'istio-validation')
  if (own === undefined || init === undefined || (own.runAsUser === undefined && own.runAsGroup === undefined)) return
  const mode = merged.metadata.annotations?.[names.interceptionMode]
  const tproxy = proxyConfig.interceptionMode === 'TPROXY' || mode === 'TPROXY'
  const sidecar = findSidecar(merged)
  if (tproxy && own.runAsUser !== undefined && sidecar?.securityContext !== undefined) sidecar.securityContext.runAsUser = 0
  if (!tproxy && init.name === 'istio-validation') {
    init.securityContext = { ...init.securityContext, ...definedIds(own) }
  }
  const at = init.args?.indexOf('-u') ?? -1
  // The packet filter can't leave root's connections alone.
  if (at >= 0 && own.runAsUser !== undefined && own.runAsUser !== 0) init.args?.splice(at + 1, 1, String(own.runAsUser))
}

function definedIds({ runAsUser, runAsGroup }: NonNullable<Container['securityContext']>) {
  return { ...(runAsUser === undefined ? {} : { runAsUser }), ...(runAsGroup === undefined ? {} : { runAsGroup }) }
}

/** Cluster and network as the proxy is told them: the pod's label over the webhook's path over the mesh. */
function clusterEnvironment({ pod, settings, environment = {} }: InjectionInput): Record<string, string> {
  const { multiCluster, network } = settings.values.global
  const found: Record<string, string> = {
    ...(multiCluster.clusterName === '' ? {} : { ISTIO_META_CLUSTER_ID: multiCluster.clusterName }),
    ...(network === '' ? {} : { ISTIO_META_NETWORK: network }),
    ...environment,
  }
  const label = pod.metadata.labels?.[names.network]
  if (label) found['ISTIO_META_NETWORK'] = label
  return found
}

function setEnvironment(pod: Pod, environment: Readonly<Record<string, string>>): void {
  const sidecar = findSidecar(pod)
  const set = Object.entries(environment).sort(([one], [other]) => (one < other ? -1 : 1))
  if (sidecar === undefined || set.length === 0) return
  const others = (sidecar.env ?? []).filter(({ name }) => !Object.hasOwn(environment, name))
  sidecar.env = [...others, ...set.map(([name, value]) => ({ name, value }))]
}

/** `sidecar.istio.io/status`: what was added, so that it can be taken away again. */
function statusOf({ spec }: Pod, { revision }: InjectionSettings): string {
  const listed = (items: readonly { name: string }[] | undefined): string[] | null =>
    items === undefined || items.length === 0 ? null : items.map(({ name }) => name)
  return JSON.stringify({
    initContainers: listed(spec.initContainers),
    containers: listed(spec.containers),
    volumes: listed(spec.volumes),
    imagePullSecrets: listed(spec.imagePullSecrets),
    revision: revision || 'default',
  })
}

/**
 * The proxy last among the containers, so that kubectl's default stays the application, or first when the others wait for it. A
 * native sidecar starts before the other init containers, right behind the packet filter; else that is set last, since there is
 * no proxy yet.
 */
function orderContainers({ spec }: Pod, { settings, proxyConfig }: TemplateContext): void {
  const hold = proxyConfig.holdApplicationUntilProxyStarts || settings.values.global.proxy.holdApplicationUntilProxyStarts
  spec.containers = move(spec.containers, proxyContainerName, hold ? 'first' : 'last')
  if (spec.initContainers === undefined) return
  const native = findContainer(spec.initContainers, proxyContainerName) !== undefined
  if (native) spec.initContainers = move(spec.initContainers, proxyContainerName, 'first')
  spec.initContainers = move(spec.initContainers, 'istio-validation', 'first')
  spec.initContainers = move(spec.initContainers, 'istio-init', native ? 'first' : 'last')
  if (spec.initContainers.length === 0) delete spec.initContainers
}

function move(containers: Container[], name: string, to: 'first' | 'last'): Container[] {
  const moved = containers.filter((container) => container.name === name)
  const others = containers.filter((container) => container.name !== name)
  return to === 'first' ? [...moved, ...others] : [...others, ...moved]
}
