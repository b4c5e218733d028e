import type { ErrorCode } from '@weft/service/errors'

/** gRPC's status codes (grpc/doc/statuscodes.md): number, name, and the HTTP status that stands for it where HTTP is answered. */
const STATUSES = [
  ['OK', 200, 'internal'],
  ['CANCELLED', 499, 'cancelled'],
  ['UNKNOWN', 500, 'internal'],
  ['INVALID_ARGUMENT', 400, 'invalid_argument'],
  ['DEADLINE_EXCEEDED', 504, 'deadline_exceeded'],
  ['NOT_FOUND', 404, 'not_found'],
  ['ALREADY_EXISTS', 409, 'already_exists'],
  ['PERMISSION_DENIED', 403, 'permission_denied'],
  ['RESOURCE_EXHAUSTED', 429, 'resource_exhausted'],
  ['FAILED_PRECONDITION', 400, 'failed_precondition'],
  ['ABORTED', 409, 'failed_precondition'],
  ['OUT_OF_RANGE', 400, 'invalid_argument'],
  ['UNIMPLEMENTED', 501, 'unimplemented'],
  ['INTERNAL', 500, 'internal'],
  ['UNAVAILABLE', 503, 'unavailable'],
  ['DATA_LOSS', 500, 'internal'],
  ['UNAUTHENTICATED', 401, 'unauthenticated'],
] as const satisfies readonly (readonly [name: string, httpStatus: number, code: ErrorCode])[]

/** `PERMISSION_DENIED` for 7; a number that is none reads as UNKNOWN. */
export function grpcStatusName(status: number): string {
  return STATUSES[status]?.[0] ?? 'UNKNOWN'
}

/** The HTTP status that a gRPC status maps to (google/rpc/code.proto). */
export function httpStatusOf(status: number): number {
  return STATUSES[status]?.[1] ?? 500
}

/** The project's error code for a gRPC status. */
export function errorCodeOf(status: number): ErrorCode {
  return STATUSES[status]?.[2] ?? 'internal'
}

const ofHttp: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 }

/** The gRPC status of an answer that names none, by its HTTP status (gRPC's http-grpc-status-mapping); 2, unknown, for others. */
export function grpcStatusOf(httpStatus: number): number {
  return ofHttp[httpStatus] ?? 2
}

/** Text as `grpc-message` has it: percent-encoded where it is not printable ASCII. */
export function grpcMessageText(text: string | Buffer): string {
  let out = ''
  for (const byte of typeof text === 'string' ? Buffer.from(text) : text) {
    out +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}
