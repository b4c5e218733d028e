import { WeftError } from '@weft/service/errors'

/** A value that is wrong, at a path of a resource: `Cluster reviews: connect_timeout`. */
export function invalid(path: string, message: string, hint?: string): WeftError {
  return new WeftError('invalid_argument', message, { where: { path }, hint })
}

/** Something Envoy has and this proxy does not: refused by name, never ignored. */
export function unsupported(path: string, what: string, hint?: string): WeftError {
  return new WeftError('unimplemented', `${what} is not supported by this proxy`, { where: { path }, hint })
}
