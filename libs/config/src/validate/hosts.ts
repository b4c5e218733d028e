import { isIP } from 'node:net'
import type { Report } from './report.ts'

const label = /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/
const wildcardLabel = /^(\*|(\*|\*-)?[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)$/

/** A DNS-1123 label, as namespaces, subsets and port names are. */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && label.test(text)
}

/** Why text is no host name; undefined when it is one. Only its first label may be or begin with `*`, if at all. */
export function hostProblem(host: string, wildcard: boolean): string | undefined {
  if (host === '') return 'a domain name may not be empty'
  if (host.length > 255) return 'a domain name has at most 255 characters'
  const labels = host.replace(/\.$/, '').split('.')
  const last = labels.at(-1)!
  if (/^\d+$/.test(last)) return `domain name "${host}" is invalid: its last part is all digits`
  for (const [index, part] of labels.entries()) {
    const allowed = index === 0 && wildcard ? wildcardLabel.test(part) : label.test(part)
    if (!allowed || part.length > 63) return `domain name "${host}" is invalid: "${part}" is no label of it`
  }
  return undefined
}

/** A host name, `*` and `*.x` included. */
export function checkWildcardHost(host: string, report: Report): void {
  const problem = hostProblem(host, true)
  if (problem !== undefined) report.error(problem)
}

/** A host name without a wildcard. */
export function checkHost(host: string, report: Report): void {
  const problem = hostProblem(host, false)
  if (problem !== undefined) report.error(problem)
}

/** `10.0.0.1`, or a block such as `10.0.0.0/8`. */
export function isAddressOrBlock(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}

/** `unix:///absolute/path` (of a socket, not a folder) or `unix://@abstract`. */
export function isUnixAddress(text: string): boolean {
  return /^unix:\/\/[/@].*[^/]$/.test(text)
}

/**
 * A host of a Gateway's server or of a Sidecar's egress: `host`, or `namespace/host` (which a Sidecar requires), where the
 * namespace may be `.` or `*`, and in a Sidecar `~`.
 */
export function checkNamespacedHost(text: string, of: 'gateway' | 'sidecar', report: Report): void {
  const parts = text.split('/')
  if (parts.length === 1 && of === 'gateway') {
    checkBareHost(text, of, report)
    return
  }
  const [namespace = '', host = ''] = parts
  if (parts.length !== 2 || namespace === '' || host === '') {
    report.error(`host "${text}" must be of the form namespace/dnsName`)
    return
  }
  if (namespace === '~' ? of === 'gateway' : namespace !== '*' && namespace !== '.' && !isDnsLabel(namespace)) {
    report.error(`invalid namespace value "${namespace}" in host "${text}"`)
    return
  }
  checkBareHost(host, of, report)
}

function checkBareHost(host: string, of: 'gateway' | 'sidecar', report: Report): void {
  if (isIP(host) !== 0) return
  const problem = hostProblem(host, true)
  if (problem !== undefined) report.error(problem)
  else if (of === 'gateway' && host !== '*' && !host.includes('.')) {
    report.error('short names (non FQDN) are not allowed here', `write ${host}.NAMESPACE.svc.cluster.local`)
  }
}

/** Whether two host patterns have hosts in common. */
export function hostsOverlap(a: string, b: string): boolean {
  const covers = (pattern: string, host: string): boolean =>
    pattern === host || (pattern.startsWith('*') && host.replace(/^\*/, '').endsWith(pattern.slice(1)))
  return covers(a, b) || covers(b, a)
}

/** `exportTo`, of any kind that has it. */
export function checkExportTo(
  exportTo: readonly string[],
  namespace: string,
  report: Report,
  options: { serviceEntry?: boolean; onlyOwnNamespace?: boolean } = {},
): void {
  const seen = new Set<string>()
  for (const [index, target] of exportTo.entries()) {
    const at = report.at('exportTo', index)
    const key = target === '.' ? namespace : target
    if (target === '~' && !options.serviceEntry) at.error('"~" (nowhere) is for ServiceEntry alone')
    else if (target !== '*' && target !== '.' && target !== '~' && !isDnsLabel(target)) {
      at.error(`"${target}" is no namespace, "." or "*"`)
    }
    if (seen.has(key)) at.error(`"${target}" is in exportTo already`)
    seen.add(key)
  }
  const at = report.at('exportTo')
  if (exportTo.length > 1 && exportTo.includes('*')) at.error('"*" (all) stands alone in exportTo')
  if (exportTo.length > 1 && exportTo.includes('~')) at.error('"~" (nowhere) stands alone in exportTo')
  if (options.onlyOwnNamespace && exportTo.some((target) => target !== '.' && target !== namespace)) {
    at.error('a DestinationRule with a workloadSelector is for its own namespace alone', 'write exportTo: ["."]')
  }
}
