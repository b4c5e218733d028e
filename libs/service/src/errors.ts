/** Error codes by meaning; the same words as gRPC's status codes, so that each maps to one. */
export const errorCodes = [
  'invalid_argument',
  'not_found',
  'already_exists',
  'permission_denied',
  'unauthenticated',
  'resource_exhausted',
  'failed_precondition',
  'unavailable',
  'deadline_exceeded',
  'cancelled',
  'unimplemented',
  'internal',
] as const
export type ErrorCode = (typeof errorCodes)[number]

/** Where an error is: a file with its line, or the path inside a resource, or both. */
export interface Where {
  file?: string
  line?: number
  /** A resource and a path in it: `Listener ingress: filter_chains[0].filters[1].typed_config`. */
  path?: string
}

export interface WeftErrorOptions {
  where?: Where | undefined
  /** What the reader can do about it. */
  hint?: string | undefined
  cause?: unknown
}

/** The one error type of the project: what happened, where, and what to do. */
export class WeftError extends Error {
  readonly code: ErrorCode
  readonly where: Where | undefined
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, options: WeftErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'WeftError'
    this.code = code
    this.where = options.where
    this.hint = options.hint
  }

  /** Any thrown value as a WeftError; one that is already is given back as it is. */
  static from(thrown: unknown, code: ErrorCode = 'internal'): WeftError {
    if (thrown instanceof WeftError) return thrown
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    return new WeftError(code, message, { cause: thrown })
  }

  /** One line for people: `config/a.yaml:12: spec.http[0].route: unknown field (remove it)`. */
  describe(): string {
    const place = describeWhere(this.where)
    return `${place === '' ? '' : `${place}: `}${this.message}${this.hint === undefined ? '' : ` (${this.hint})`}`
  }
}

/** `file:line: path`, with the parts that are known; empty when nothing is. */
export function describeWhere(where: Where | undefined): string {
  if (where === undefined) return ''
  const file = where.file === undefined ? undefined : where.line === undefined ? where.file : `${where.file}:${where.line}`
  return [file, where.path].filter((part) => part !== undefined).join(': ')
}
