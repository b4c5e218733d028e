import { headerName, names } from '@weft/http/header-name'
import type { ResponseHead } from '@weft/http/message'
import { grpcMessageText, grpcStatusOf } from '../../../upstream/grpc-status.ts'
import type { LocalReply } from '../../http/filter.ts'
import type { Answer } from './local-reply-config.ts'
import type { ManagedExchange } from './managed-exchange.ts'

/**
 * Fills the head of an answer the proxy makes itself; gives its body, or null when it has none. A gRPC request gets the
 * status in headers (trailers only). What is written into the head by `options` comes first, and stays; then `rewrite` may change
 * the answer.
 */
export function localReplyBody(
  response: ResponseHead,
  status: number,
  body: string | Buffer,
  options: LocalReply,
  grpc: boolean,
  method: string,
  rewrite: ((answer: Answer) => void) | null = null,
): Buffer | null {
  const { headers } = response
  response.status = status
  for (const [name, value] of options.headers ?? []) headers.set(headerName(name), value)
  options.edit?.(response)
  const before = headers.get(names.contentType)
  const answer: Answer = { status, body, contentType: options.contentType ?? 'text/plain' }
  rewrite?.(answer)
  const bytes = typeof answer.body === 'string' ? Buffer.from(answer.body) : answer.body
  headers.remove(names.contentLength)
  if (grpc) {
    response.status = 200
    headers.set(names.contentType, 'application/grpc')
    if (!headers.has(names.grpcStatus))
      headers.append(names.grpcStatus, String(options.grpcStatus ?? grpcStatusOf(answer.status)))
    // A JSON format of a rewrite ends its line, which is no part of a message.
    const isJson = answer.body !== body && answer.contentType === 'application/json'
    const message = isJson ? Buffer.from(bytes.toString('latin1').trimEnd(), 'latin1') : bytes
    if (message.length > 0 && method !== 'HEAD') headers.set(names.grpcMessage, grpcMessageText(message))
    return null
  }
  if (bytes.length === 0) {
    headers.remove(names.contentType)
    return null
  }
  headers.set(names.contentLength, String(bytes.length))
  const now = headers.get(names.contentType)
  if (now === null || (answer.body !== body && now === before)) headers.set(names.contentType, answer.contentType)
  return method === 'HEAD' ? null : bytes
}

/** Makes the answer to an exchange's request as its connection manager words it, `edit` or its route's edits applied; gives its body. */
export function makeLocalReply(
  exchange: ManagedExchange,
  status: number,
  body: string | Buffer,
  options: LocalReply,
  edit: (() => void) | undefined,
): Buffer | null {
  const { request, response, info, plan } = exchange
  const { localReply } = plan
  response.clear()
  response.status = status
  // The route's own edits, as every answer of a route has them: before what a filter says, but behind what the route does.
  if (edit === undefined) exchange.terminal.editResponse(options.byManager !== true)
  const own: LocalReply = edit === undefined ? options : { ...options, edit }
  const rewrite =
    localReply === null
      ? null
      : (answer: Answer) => {
          info.responseCode = status
          localReply(exchange, answer)
        }
  // Edits of routes come before the answer has a code, those of mappers and filters behind.
  const bytes = localReplyBody(response, status, body, own, exchange.isGrpc, request.method, rewrite)
  if (rewrite === null) info.responseCode = status
  return bytes
}
