import { array, type Json, type JsonObject, object, readCases, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'

/** The value of one table of a Go test file, by function and variable. */
export function table(dir: string, file: string, func: string, variable: string): Json {
  const content = readCases(dir, `citadel/tables/${file}`)
  for (const entry of array(content['tables'], 'tables')) {
    const one = object(entry, 'table')
    if (one['func'] === func && one['var'] === variable) return one['value'] ?? null
  }
  throw new Error(`${file} has no table ${func}/${variable}`)
}

/** Its cases with their names, whether the table is a list or a map by name. */
export function casesOf(value: Json, prefix: string): [string, JsonObject][] {
  if (Array.isArray(value)) {
    return value.map((entry, index) => {
      const one = object(entry, prefix)
      return [`${prefix}: ${typeof one['name'] === 'string' ? one['name'] : `case ${index + 1}`}`, one]
    })
  }
  return Object.entries(object(value, prefix)).map(([name, entry]) => [`${prefix}: ${name}`, object(entry, name)])
}

/** Runs a case: what it throws is its outcome as well. */
export function play(name: string, expected: unknown, run: () => unknown, holds: (actual: unknown) => boolean): CaseResult {
  let actual: unknown
  try {
    actual = run()
  } catch (thrown) {
    actual = thrown instanceof Error ? new Refusal(thrown.message) : thrown
  }
  return { name, passed: holds(actual), expected, actual: actual instanceof Refusal ? `refused: ${actual.message}` : actual }
}

/** The outcome of a case that threw. */
export class Refusal {
  readonly message: string

  constructor(message: string) {
    this.message = message
  }
}

/** Strings of a list that may be left out or null. */
export function strings(value: Json | undefined): string[] {
  return value === undefined || value === null ? [] : array(value, 'list').map((one) => text(one, 'entry'))
}

/** Go's duration in nanoseconds as milliseconds; `{"$op": "/"}` of two numbers too. */
export function durationMs(value: Json | undefined): number {
  if (typeof value === 'number') return value / 1e6
  const operation = object(value, 'duration')
  const [x, y] = [Number(operation['x']), Number(operation['y'])]
  if (operation['$op'] === '/') return x / y / 1e6
  throw new Error(`the runner does not know the operator ${String(operation['$op'])}`)
}

/** `now`, `now.Add(d)`, or `time.Unix(seconds, nanoseconds)`. */
export function goTime(value: Json | undefined, now: Date): Date | undefined {
  const one = object(value, 'time')
  if (one['$ident'] === 'now') return now
  const args = array(one['args'], 'args')
  if (one['$call'] === 'now.Add') return new Date(now.getTime() + Number(args[0]) / 1e6)
  if (one['$call'] === 'time.Unix' && typeof args[0] === 'number') return new Date(args[0] * 1_000)
  return undefined
}
