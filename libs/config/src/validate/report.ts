import { joinPath } from '../path.ts'
import type { Severity } from '../problem.ts'

/** Takes one finding about a field. */
export type Sink = (severity: Severity, path: string, message: string, hint?: string) => void

/** Where in an object a check stands: it says what is wrong at its path, and steps to a field below. */
export class Report {
  readonly path: string
  readonly #sink: Sink

  constructor(sink: Sink, path: string) {
    this.#sink = sink
    this.path = path
  }

  /** The same for a field or an element. */
  at(...segments: (string | number)[]): Report {
    return new Report(this.#sink, segments.reduce<string>(joinPath, this.path))
  }

  error(message: string, hint?: string): void {
    this.#sink('error', this.path, message, hint)
  }

  warn(message: string, hint?: string): void {
    this.#sink('warning', this.path, message, hint)
  }
}
