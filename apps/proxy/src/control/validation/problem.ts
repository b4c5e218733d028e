import type { PathSegment } from '../../bootstrap/document.ts'

/** One thing wrong with a configuration, and where in it. */
export interface Problem {
  path: readonly PathSegment[]
  message: string
  /** The API has no such field: what `--allow-unknown-static-fields` lets pass. */
  unknownField?: boolean
  /** The API has it, and this proxy has not. */
  unsupported?: boolean
  /** It stands in what an Any holds. */
  inAny?: boolean
}

/** `static_resources.clusters[0].connect_timeout`; a map's key stands in `["…"]`. */
export function formatPath(path: readonly PathSegment[]): string {
  let text = ''
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`
    else if (/^[\w@]+$/.test(segment)) text += text === '' ? segment : `.${segment}`
    else text += `[${JSON.stringify(segment)}]`
  }
  return text
}

/** How many problems one message tells; the rest is counted. */
const mostTold = 10

/** All problems in one line: `a.b: unknown field; c[1]: value is required; and 3 more`. */
export function describeProblems(problems: readonly Problem[], place: (problem: Problem) => string = pathOnly): string {
  const told = problems.slice(0, mostTold).map((problem) => {
    const where = place(problem)
    return where === '' ? problem.message : `${where}: ${problem.message}`
  })
  const rest = problems.length - told.length
  return [...told, ...(rest > 0 ? [`and ${rest} more`] : [])].join('; ')
}

function pathOnly(problem: Problem): string {
  return formatPath(problem.path)
}
