import { describeWhere } from '@weft/service/errors'

/** `error`: the object is refused. `warning`: it is used, but is likely not what was meant. `notice`: it is not for us. */
export type Severity = 'error' | 'warning' | 'notice'

/** One thing that is wrong with what somebody wrote, where, and what to do. */
export interface Problem {
  readonly severity: Severity
  readonly message: string
  readonly file: string
  /** From 1. */
  readonly line: number
  /** In the document: `spec.http[0].route[1].weight`. */
  readonly path?: string
  /** `kind/namespace/name`, where it is known. */
  readonly object?: string
  /** What the reader can do. */
  readonly hint?: string
}

/** One line for people: `a.yaml:12: spec.http[0].timeout: bad duration "5" (write a unit, such as 5s)`. */
export function describeProblem(problem: Problem): string {
  const { file, line, path, message, hint } = problem
  const where = describeWhere({ file, line, ...(path === undefined || path === '' ? {} : { path }) })
  return `${where}: ${message}${hint === undefined ? '' : ` (${hint})`}`
}

/** Whether any of these refuses its object. */
export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.severity === 'error')
}
