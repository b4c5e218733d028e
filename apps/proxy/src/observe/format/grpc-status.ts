import { names } from '@weft/http/header-name'
import { isGrpcType } from '../../filters/http/grpc-type.ts'
import { invalid } from '../../plan/problems.ts'
import type { FormatContext } from './context.ts'
import type { Operator } from './operator.ts'

/** Names in the form that Envoy writes by default; the number is the place. */
const camelNames = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
]

/** HTTP to gRPC status, where an answer to gRPC has none of its own (gRPC's http-grpc-status-mapping). */
const byHttpStatus: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 }

/** `%GRPC_STATUS(format)%`: of gRPC requests only. */
export function grpcStatusOperator(format: string, path: string): Operator {
  switch (format) {
    case '':
    case 'CAMEL_STRING':
      return (context) => named(context, (name) => name)
    case 'SNAKE_STRING':
      return (context) => named(context, snakeName)
    case 'NUMBER':
      return grpcStatusNumber
    default:
      throw invalid(path, `GRPC_STATUS has no format '${format}': CAMEL_STRING, SNAKE_STRING or NUMBER`)
  }
}

function snakeName(name: string): string {
  // The one that gRPC spells otherwise.
  return name === 'Canceled' ? 'CANCELLED' : name.replaceAll(/(?<=[a-z])[A-Z]/g, '_$&').toUpperCase()
}

function named(context: FormatContext, change: (name: string) => string): string | null {
  const status = grpcStatusNumber(context)
  if (status === null) return null
  const name = camelNames[status]
  return name === undefined ? String(status) : change(name)
}

/** `%GRPC_STATUS_NUMBER%`. */
export function grpcStatusNumber({ request, response, responseTrailers, info }: FormatContext): number | null {
  if (request === null || !isGrpcType(request.headers)) return null
  // One without a value says nothing.
  const said = responseTrailers?.get(names.grpcStatus) || response?.headers.get(names.grpcStatus) || null
  if (said !== null) return /^\d{1,9}$/.test(said) ? Number(said) : -1
  const { responseCode } = info
  return responseCode === 0 ? null : (byHttpStatus[responseCode] ?? 2)
}
