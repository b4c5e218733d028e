import type { Duration } from '@weft/contracts/google/protobuf/duration'
import { RE2JS } from 're2js'
import { labelProblem } from '../metadata.ts'
import { isDnsLabel } from './hosts.ts'
import type { Report } from './report.ts'

/** A duration of at least 1 ms (or `leastMs`), in whole milliseconds. */
export function checkDuration(duration: Duration | undefined, report: Report, leastMs = 1): void {
  if (duration === undefined) return
  if (duration.nanos % 1_000_000 !== 0) {
    report.error('durations are whole milliseconds')
    return
  }
  const ms = duration.seconds * 1_000 + duration.nanos / 1_000_000
  if (ms < leastMs) report.error(`must be at least ${leastMs}ms`)
}

/** 0 to 100. */
export function checkPercent(value: number, report: Report): void {
  if (!(value >= 0 && value <= 100)) report.error(`percentage ${value} is not in range 0..100`)
}

export function checkPort(number: number, report: Report): void {
  if (number < 1 || number > 65_535) report.error(`port number ${number} must be in the range 1..65535`)
}

export function checkNotNegative(value: number, what: string, report: Report): void {
  if (value < 0) report.error(`${what} must not be negative`)
}

/** A port's name, as of a ServiceEntry: a DNS label. */
export function checkPortName(name: string, report: Report): void {
  if (!isDnsLabel(name)) report.error(name === '' ? 'port name must be set' : `invalid port name "${name}"`)
}

const protocols = new Set(
  ['GRPC', 'GRPC-WEB', 'HTTP', 'HTTP2', 'HTTP_PROXY', 'HTTPS', 'HBONE', 'TCP', 'TLS', 'UDP', 'MONGO', 'MYSQL', 'REDIS'].concat(
    'DOUBLE-HBONE',
  ),
)

/** Whether it is one of Istio's protocol names, in any case. */
export function isProtocol(name: string): boolean {
  return protocols.has(name.toUpperCase())
}

export function checkProtocol(name: string, report: Report): void {
  if (name !== '' && !isProtocol(name)) report.error(`unsupported protocol "${name}"`, `one of ${[...protocols].join(', ')}`)
}

/** Labels that select or mark something. */
export function checkLabels(labels: Readonly<Record<string, string>>, report: Report): void {
  for (const [key, value] of Object.entries(labels)) {
    const problem = labelProblem(key, value)
    if (problem !== undefined) report.at(key).error(problem)
  }
}

/** Labels that workloads are chosen by: no wildcards; without any, all of the namespace is meant (a warning). */
export function checkSelector(labels: Readonly<Record<string, string>>, report: Report): void {
  if (Object.keys(labels).length === 0) {
    report.warn('workload selector specified without labels: it selects all workloads of the namespace', 'leave it out')
  }
  for (const [key, value] of Object.entries(labels)) {
    if (key === '') report.error('empty key is not supported in selector')
    else if (key.includes('*') || value.includes('*')) report.at(key).error('wildcards are not supported in a selector')
    else {
      const problem = labelProblem(key, value)
      if (problem !== undefined) report.at(key).error(problem)
    }
  }
}

const longestPattern = 10_000

/** A regular expression in RE2's syntax, as proxies match by. */
export function checkPattern(pattern: string, report: Report): void {
  if (pattern === '') {
    report.error('the regular expression may not be empty')
    return
  }
  if (pattern.length > longestPattern) {
    report.error(`the regular expression is longer than ${longestPattern} characters`)
    return
  }
  try {
    RE2JS.compile(pattern)
  } catch (error) {
    report.error(`bad regular expression: ${error instanceof Error ? error.message : String(error)}`, 'the syntax is RE2')
  }
}
