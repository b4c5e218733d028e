import { names } from '@weft/http/header-name'
import { RequestHead } from '@weft/http/message'
import type { MirrorPolicy } from '../../../routing/route-action.ts'
import { localAddress } from '../../../transport/local-address.ts'
import { httpCall } from '../../../upstream/http-client.ts'
import { editHead, type HeadEdit } from '../head-edit.ts'
import type { RoutedExchange } from '../routed-exchange.ts'

/** A copy waits for the request's end; more of a body than this, and it is not sent. */
const maxBody = 1024 * 1024
const maxAnswer = 1024 * 1024

/** Copies of one request to other clusters, whose answers nobody waits for. */
export class Mirrors {
  private readonly exchange: RoutedExchange
  private readonly targets: { cluster: string; head: Copy }[]
  private readonly timeoutMs: number
  private body: Buffer[] = []
  private size = 0

  private constructor(exchange: RoutedExchange, targets: { cluster: string; head: Copy }[], timeoutMs: number) {
    this.exchange = exchange
    this.targets = targets
    this.timeoutMs = timeoutMs
  }

  /** The copies that this request is chosen for, made of its head as upstream gets it; null: none. */
  static of(exchange: RoutedExchange, policies: readonly MirrorPolicy[], timeoutMs: number): Mirrors | null {
    const targets: { cluster: string; head: Copy }[] = []
    for (const { cluster, header, sample, suffix, host, edits } of policies) {
      const name = header === null ? cluster : (exchange.request.headers.get(header) ?? '')
      if (name === '' || exchange.downstream.cluster(name) === undefined || !sample()) continue
      targets.push({ cluster: name, head: copyOf(edited(exchange, edits), suffix, host) })
    }
    return targets.length === 0 ? null : new Mirrors(exchange, targets, timeoutMs)
  }

  add(buffer: Buffer, start: number, end: number): void {
    this.size += end - start
    if (this.size > maxBody) this.body = []
    else if (end > start) this.body.push(Buffer.from(buffer.subarray(start, end)))
  }

  /** The request is complete: the copies go. */
  send(): void {
    if (this.size > maxBody) return
    const { downstream } = this.exchange
    const body = Buffer.concat(this.body)
    for (const { cluster, head } of this.targets) {
      const call = httpCall(downstream, cluster, '/', {
        timeoutMs: this.timeoutMs > 0 ? this.timeoutMs : 15_000,
        maxBytes: maxAnswer,
        ...head,
        ...(body.length > 0 ? { body } : {}),
      })
      // Whatever becomes of it is the other cluster's statistics only.
      call.catch(() => {})
    }
  }
}

/** The request's head, or a copy of it that is edited. */
function edited(exchange: RoutedExchange, edits: readonly HeadEdit[]): RequestHead {
  if (edits.length === 0) return exchange.request
  const { method, scheme, authority, path, headers } = exchange.request
  const head = Object.assign(new RequestHead(), { method, scheme, authority, path })
  head.headers.copyFrom(headers)
  editHead(edits, exchange, head)
  return head
}

interface Copy {
  method: string
  path: string
  host: string
  headers: Record<string, string[]>
}

function copyOf(request: RequestHead, suffix: boolean, literal: string): Copy {
  const headers: Record<string, string[]> = {}
  request.headers.forEach((name, value) => {
    if (name === names.contentLength.name || name === names.transferEncoding.name) return
    headers[name] = [...(headers[name] ?? []), value]
  })
  const forwarded = headers[names.forwardedFor.name]
  headers[names.forwardedFor.name] = [forwarded === undefined ? localAddress : `${forwarded.join(',')},${localAddress}`]
  const authority = literal === '' ? request.authority : literal
  return {
    method: request.method,
    path: request.path,
    host: suffix && literal === '' ? shadowHost(authority) : authority,
    headers,
  }
}

/** `shop.test:80` as `shop.test-shadow:80`. */
export function shadowHost(authority: string): string {
  const match = /^(.*?)(:\d+)?$/.exec(authority)
  return `${match?.[1] ?? authority}-shadow${match?.[2] ?? ''}`
}
