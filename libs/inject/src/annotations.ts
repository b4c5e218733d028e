import { isIP } from 'node:net'
import { WeftError } from '@weft/service/errors'
import { parseProxyConfig } from './proxy-config.ts'

/** Istio's annotations and labels that injection reads or writes. */
export const names = {
  inject: 'sidecar.istio.io/inject',
  status: 'sidecar.istio.io/status',
  overrides: 'proxy.istio.io/overrides',
  proxyConfig: 'proxy.istio.io/config',
  templates: 'inject.istio.io/templates',
  interceptionMode: 'sidecar.istio.io/interceptionMode',
  nativeSidecar: 'sidecar.istio.io/nativeSidecar',
  statusPort: 'status.sidecar.istio.io/port',
  rewriteProbes: 'sidecar.istio.io/rewriteAppHTTPProbers',
  mergeMetrics: 'prometheus.istio.io/merge-metrics',
  bootstrapOverride: 'sidecar.istio.io/bootstrapOverride',
  userVolume: 'sidecar.istio.io/userVolume',
  userVolumeMount: 'sidecar.istio.io/userVolumeMount',
  revision: 'istio.io/rev',
  network: 'topology.istio.io/network',
} as const

/** Says what is wrong with a value, or nothing. */
type Check = (value: string) => string | undefined

const checks: Readonly<Record<string, Check>> = {
  [names.interceptionMode]: (value) =>
    ['REDIRECT', 'TPROXY', 'NONE'].includes(value) ? undefined : 'must be REDIRECT, TPROXY or NONE',
  [names.statusPort]: (value) => (isPort(value) ? undefined : 'must be a port'),
  'readiness.status.sidecar.istio.io/initialDelaySeconds': wholeNumber,
  'readiness.status.sidecar.istio.io/periodSeconds': wholeNumber,
  'readiness.status.sidecar.istio.io/failureThreshold': wholeNumber,
  'traffic.sidecar.istio.io/includeOutboundIPRanges': (value) => (value === '*' ? undefined : cidrs(value)),
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': cidrs,
  'traffic.sidecar.istio.io/includeInboundPorts': (value) => (value === '*' ? undefined : ports(value)),
  'traffic.sidecar.istio.io/excludeInboundPorts': ports,
  'traffic.sidecar.istio.io/includeOutboundPorts': (value) => (value === '*' ? undefined : ports(value)),
  'traffic.sidecar.istio.io/excludeOutboundPorts': ports,
  'traffic.sidecar.istio.io/excludeInterfaces': interfaces,
  'traffic.sidecar.istio.io/kubevirtInterfaces': interfaces,
  'istio.io/reroute-virtual-interfaces': interfaces,
  [names.mergeMetrics]: (value) => (parseBoolean(value) === undefined ? 'must be true or false' : undefined),
  [names.proxyConfig](value) {
    try {
      parseProxyConfig(value, 'the proxy configuration')
      return undefined
    } catch (thrown) {
      return WeftError.from(thrown).message
    }
  },
  'sidecar.istio.io/proxyCPU': quantity,
  'sidecar.istio.io/proxyMemory': quantity,
  'sidecar.istio.io/proxyCPULimit': quantity,
  'sidecar.istio.io/proxyMemoryLimit': quantity,
  [names.userVolume]: jsonObject,
  [names.userVolumeMount]: jsonObject,
}

/** Checks the values of all annotations that injection acts on. Throws `invalid_argument` that names each bad one. */
export function checkAnnotations(annotations: Readonly<Record<string, string>>): void {
  const problems: { name: string; text: string }[] = []
  for (const [name, value] of Object.entries(annotations)) {
    const problem = Object.hasOwn(checks, name) ? checks[name]?.(value) : undefined
    const shown = value.length > 100 ? `${value.slice(0, 100)}…` : value
    if (problem !== undefined) problems.push({ name, text: `invalid value '${shown}' for annotation '${name}': ${problem}` })
  }
  const [first] = problems
  if (first === undefined) return
  throw new WeftError('invalid_argument', problems.map(({ text }) => text).join('; '), {
    where: { path: `metadata.annotations["${first.name}"]` },
  })
}

/** `true` or `false` in the spellings that Go's strconv takes; undefined for anything else. */
export function parseBoolean(text: string): boolean | undefined {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true
  return /^(0|f|F|FALSE|false|False)$/.test(text) ? false : undefined
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text.trim()) && Number(text) <= 65_535
}

function ports(list: string): string | undefined {
  if (list.trim() === '') return undefined
  const bad = list.split(',').find((port) => !isPort(port))
  return bad === undefined ? undefined : `'${bad}' is not a port (write ports with commas between them)`
}

function cidrs(list: string): string | undefined {
  if (list === '') return undefined
  const bad = list.split(',').find((range) => {
    const [address = '', length = '', ...more] = range.split('/')
    const version = isIP(address)
    return version === 0 || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > (version === 4 ? 32 : 128)
  })
  return bad === undefined ? undefined : `'${bad}' is not a range such as 10.0.0.0/8`
}

function interfaces(list: string): string | undefined {
  if (list === '') return undefined
  const bad = list.split(',').find((name) => !/^[A-Za-z][A-Za-z0-9_.-]{0,14}$/.test(name.trim()))
  return bad === undefined ? undefined : `'${bad}' is not the name of a network interface`
}

function wholeNumber(text: string): string | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) <= 0xffff_ffff ? undefined : 'must be a whole number'
}

/** A quantity of Kubernetes: `100m`, `1.5Gi`, `1e3`. */
function quantity(text: string): string | undefined {
  const form = /^[+-]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})(([KMGTPE]i)|[numkMGTPE]|[eE][+-]?\d{1,2})?$/
  return form.test(text) ? undefined : 'must be a quantity such as 100m or 128Mi'
}

function jsonObject(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const objects = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.values(value) : [undefined]
    return objects.every((item) => typeof item === 'object' && item !== null)
      ? undefined
      : 'must be a JSON object of objects, by name'
  } catch {
    return 'must be a JSON object of objects, by name'
  }
}
