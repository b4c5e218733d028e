import { names, parseBoolean } from './annotations.ts'
import {
  allContainers,
  type Container,
  findSidecar,
  type LifecycleHandler,
  type Pod,
  type Probe,
  proxyContainerName,
} from './pod.ts'
import type { InjectionSettings } from './settings.ts'

/** The environment variable by which the agent knows what to ask on the kubelet's behalf. */
const probersVariable = 'ISTIO_KUBE_APP_PROBERS'

/** One question of the kubelet's, as the agent puts it to the application. */
type Prober = Record<string, unknown>

/**
 * Makes the kubelet ask the agent, which asks the application in its place: the kubelet has no certificate, and its TCP probes
 * would reach the proxy only. HTTP, TCP and gRPC probes, and the lifecycle handlers that are requests.
 */
export function rewriteProbes(pod: Pod, settings: InjectionSettings): void {
  const sidecar = findSidecar(pod)
  const annotations = pod.metadata.annotations ?? {}
  const wanted =
    parseBoolean(annotations[names.rewriteProbes] ?? '') ?? settings.values.sidecarInjectorWebhook.rewriteAppHTTPProbe
  if (sidecar === undefined || !wanted) return
  const meshPort = settings.proxyConfig.statusPort ?? 15_020
  const ownPort = Number(annotations[names.statusPort] ?? meshPort)
  const probers: Record<string, Prober> = {}
  for (const container of allContainers(pod)) {
    if (container.name === proxyContainerName) continue
    for (const [path, question] of questions(container)) {
      const prober = proberOf(question, container, meshPort)
      if (prober !== undefined) probers[path] = prober
      askAgent(question, path, ownPort)
    }
  }
  if (Object.keys(probers).length === 0) return
  sidecar.env ??= []
  const known = annotations[names.status] === undefined ? undefined : sidecar.env.find(({ name }) => name === probersVariable)
  if (known === undefined) sidecar.env.push({ name: probersVariable, value: sortedJson(probers) })
  // Injected once more: what was rewritten then is known only from here.
  else known.value = sortedJson({ ...probers, ...earlier(known.value) })
}

function questions({
  name,
  readinessProbe,
  livenessProbe,
  startupProbe,
  lifecycle,
}: Container): [string, Probe | LifecycleHandler][] {
  const all: [string, Probe | LifecycleHandler | undefined][] = [
    [`/app-health/${name}/readyz`, readinessProbe],
    [`/app-health/${name}/livez`, livenessProbe],
    [`/app-health/${name}/startupz`, startupProbe],
    [`/app-lifecycle/${name}/prestopz`, lifecycle?.preStop],
    [`/app-lifecycle/${name}/poststartz`, lifecycle?.postStart],
  ]
  return all.filter((pair): pair is [string, Probe | LifecycleHandler] => pair[1] !== undefined)
}

/** What the agent has to ask, its port as a number; nothing when there is no such port or it is the agent's already. */
function proberOf(question: Probe | LifecycleHandler, container: Container, agentPort: number): Prober | undefined {
  const timeoutSeconds =
    'timeoutSeconds' in question && question.timeoutSeconds ? { timeoutSeconds: question.timeoutSeconds } : {}
  const { httpGet, tcpSocket } = question
  const asked = httpGet ?? tcpSocket
  if (asked === undefined) {
    return 'grpc' in question && question.grpc !== undefined ? { grpc: question.grpc, ...timeoutSeconds } : undefined
  }
  const named = typeof asked.port === 'string' && !/^\d+$/.test(asked.port)
  const port = named ? container.ports?.find(({ name }) => name === asked.port)?.containerPort : Number(asked.port)
  if (port === undefined || (!named && port === agentPort)) return undefined
  return { [httpGet === undefined ? 'tcpSocket' : 'httpGet']: { ...asked, port }, ...timeoutSeconds }
}

/** Turns the question into a plain HTTP one to the agent. */
function askAgent(question: Probe | LifecycleHandler, path: string, port: number): void {
  const { httpGet, tcpSocket } = question
  if (httpGet === undefined && tcpSocket === undefined && !('grpc' in question && question.grpc !== undefined)) return
  question.httpGet = { ...httpGet, path, port }
  // The agent speaks HTTPS to the application; the kubelet need not to the agent.
  if (httpGet?.scheme === 'HTTPS') question.httpGet.scheme = 'HTTP'
  delete question.tcpSocket
  if ('grpc' in question) delete question.grpc
}

function earlier(json: string | undefined): Record<string, Prober> {
  try {
    return JSON.parse(json ?? '{}') as Record<string, Prober>
  } catch {
    return {}
  }
}

function sortedJson(probers: Record<string, Prober>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(probers).sort(([one], [other]) => (one < other ? -1 : 1))))
}
