import { describeProblem, type Problem } from '@weft/config/problem'
import type { Logger } from '@weft/service/logger'
import { Gauge, type Registry } from '@weft/service/metrics'

/** All that is wrong with the configuration now; what is new is logged once, in one line. */
export class MeshProblems {
  current: readonly Problem[] = []
  #told = new Set<string>()
  readonly #logger: Logger
  readonly #gauge: Gauge<'severity'>

  constructor(logger: Logger, registry: Registry) {
    this.#logger = logger
    this.#gauge = new Gauge({
      name: 'pilot_config_problems',
      help: 'What is wrong with the configuration in force, by severity (pilot status tells each)',
      labelNames: ['severity'],
      registers: [registry],
    })
    this.#gauge.set({ severity: 'error' }, 0)
  }

  /** Takes the problems that there are from now on. */
  set(problems: readonly Problem[]): void {
    this.current = problems
    const told = new Set<string>()
    const counts = { error: 0, warning: 0, notice: 0 }
    for (const problem of problems) {
      counts[problem.severity]++
      const line = describeProblem(problem)
      told.add(line)
      if (this.#told.has(line)) continue
      const level = problem.severity === 'error' ? 'error' : problem.severity === 'warning' ? 'warn' : 'debug'
      this.#logger[level]({ object: problem.object }, line)
    }
    this.#told = told
    for (const [severity, count] of Object.entries(counts)) this.#gauge.set({ severity }, count)
  }

  /** The problems of these objects. */
  about(objects: readonly string[]): Problem[] {
    return this.current.filter(({ object }) => object !== undefined && objects.includes(object))
  }
}
