import { names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'

/** Whether a message's content-type is that of gRPC. */
export function isGrpcType(headers: HeaderTable): boolean {
  const type = headers.get(names.contentType)
  return type !== null && /^application\/grpc(?:$|\+)/.test(type)
}
