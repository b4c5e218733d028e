import { headerName, names } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { RequestHead } from '@weft/http/message'
import type { MirrorPolicy } from '../../../routing/route-action.ts'
import { localAddress } from '../../../transport/local-address.ts'
import { editHead } from '../head-edit.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { EndOfChain } from '../terminal-filter.ts'
import { MirroredExchange } from './mirrored-exchange.ts'
import { mirroredRoute } from './mirrored-route.ts'

const internal = headerName('x-envoy-internal')

/** Copies of one request to other clusters, which get the body while it comes, and whose answers nobody waits for. */
export class Mirrors {
  private readonly copies: readonly MirroredExchange[]
  private started = false

  private constructor(copies: readonly MirroredExchange[]) {
    this.copies = copies
  }

  /**
   * The copies that this request is chosen for, made of its head as upstream gets it; null: none. `timeoutMs`: how long each may take
   * (0: any time); `endOf`: makes their routers.
   */
  static of(exchange: RoutedExchange, policies: readonly MirrorPolicy[], timeoutMs: number, endOf: EndOfChain): Mirrors | null {
    const { request, downstream, upgrade } = exchange
    const bufferLimit = exchange.route?.bufferLimit ?? exchange.plan.bufferLimit
    const copies: MirroredExchange[] = []
    for (const policy of policies) {
      const cluster = policy.header === null ? policy.cluster : (request.headers.get(policy.header) ?? '')
      if (cluster === '' || downstream.cluster(cluster) === undefined || !policy.sample()) continue
      const route = mirroredRoute(cluster, timeoutMs, bufferLimit)
      copies.push(new MirroredExchange(copyOf(exchange, policy), route, upgrade, downstream, endOf))
    }
    return copies.length === 0 ? null : new Mirrors(copies)
  }

  /** The request goes to its own cluster, and the copies to theirs; a second time: nothing. */
  start(endStream: boolean): void {
    if (this.started) return
    this.started = true
    for (const copy of this.copies) copy.start(endStream)
  }

  /** `buffer` is valid during the call. */
  data(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    for (const copy of this.copies) copy.data(buffer, start, end, endStream)
  }

  trailers(trailers: HeaderTable): void {
    const own = new HeaderTable()
    own.copyFrom(trailers)
    for (const copy of this.copies) copy.trailers(own)
  }

  /** Nothing more comes of the request: copies that are not complete are given up, as they can't be any more. */
  leave(): void {
    for (const copy of this.copies) copy.leave()
  }
}

function copyOf(exchange: RoutedExchange, { edits, suffix, host }: MirrorPolicy): RequestHead {
  const { method, scheme, authority, emptyAuthority, upgrades, path, headers } = exchange.request
  const copy = Object.assign(new RequestHead(), { method, scheme, authority, emptyAuthority, upgrades, path })
  copy.headers.copyFrom(headers)
  editHead(edits, exchange, copy)
  if (host !== '') copy.authority = host
  else if (suffix) copy.authority = shadowHost(authority)
  const forwarded = copy.headers.getAll(names.forwardedFor)
  copy.headers.set(names.forwardedFor, forwarded === null || forwarded === '' ? localAddress : `${forwarded},${localAddress}`)
  copy.headers.set(internal, 'true')
  return copy
}

/** `shop.test:80` as `shop.test-shadow:80`. */
export function shadowHost(authority: string): string {
  const port = authority.lastIndexOf(':')
  if (port < 0 || port < authority.lastIndexOf(']')) return `${authority}-shadow`
  return `${authority.slice(0, port)}-shadow${authority.slice(port)}`
}
