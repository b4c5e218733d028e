import { headerGroup, headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { ResponseHead } from '@weft/http/message'
import { httpDateText } from '../../../observe/format/time.ts'
import type { ManagedExchange } from './managed-exchange.ts'
import { tellProxyStatus } from './proxy-status.ts'

const forceTrace = headerName('x-envoy-force-trace')

/** What of a response ends here. */
const hopByHop = headerGroup([names.connection, names.upgrade, names.keepAlive, names.transferEncoding, names.proxyConnection])

/** Makes a response's head what the client gets: hop-by-hop headers go, Date, Server, Via and the like are set as configured. */
export function finishResponseHead(exchange: ManagedExchange): void {
  const { response, plan } = exchange
  const { headers } = response
  if (headers.mayHave(hopByHop)) {
    if (response.status !== 101 || exchange.upgrade === '') {
      headers.remove(names.connection)
      headers.remove(names.upgrade)
    }
    removeHopByHop(headers)
  }
  if (!headers.has(names.date)) headers.append(names.date, httpDateText())
  if (plan.serverHeader === 'overwrite' || (plan.serverHeader === 'append-if-absent' && !headers.has(names.server)))
    headers.setBytes(names.server, plan.serverName)
  if (exchange.span !== null) plan.tracing?.respond(exchange, exchange.span)
  tellRequestId(exchange, headers)
  if (plan.via !== '') {
    const via = headers.getAll(names.via)
    headers.set(names.via, via === null ? plan.via : `${via}, ${plan.via}`)
  }
  if (plan.proxyStatus !== null) tellProxyStatus(response, exchange.info, plan.proxyStatus)
  headers.removeBroken()
}

/** The same for an interim answer: nothing of what tells about the whole of it. */
export function finishInterim(exchange: ManagedExchange, { headers }: ResponseHead): void {
  if (headers.mayHave(hopByHop)) {
    headers.remove(names.connection)
    headers.remove(names.upgrade)
    removeHopByHop(headers)
  }
  tellRequestId(exchange, headers)
}

/** What goes whether or not the answer switches protocols. */
function removeHopByHop(headers: HeaderTable): void {
  headers.remove(names.keepAlive)
  headers.remove(names.transferEncoding)
  headers.remove(names.proxyConnection)
}

function tellRequestId({ request, plan, internal }: ManagedExchange, headers: HeaderTable): void {
  if (!plan.requestIdInResponse && !(internal && request.headers.has(forceTrace))) return
  const id = request.headers.get(names.requestId)
  if (id !== null) headers.set(names.requestId, id)
}

/** What HTTP/1.1 writes besides where no length is stated. */
export function framingOf(
  { request, response }: Pick<ManagedExchange, 'request' | 'response'>,
  endStream: boolean,
): '' | 'transfer-encoding: chunked' | 'content-length: 0' {
  const { status, headers } = response
  if (request.version !== 11 || status < 200 || status === 204 || headers.find(names.contentLength) >= 0) return ''
  if (!endStream) return 'transfer-encoding: chunked'
  return status === 304 || request.method === 'HEAD' ? '' : 'content-length: 0'
}
