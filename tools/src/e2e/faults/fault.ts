import type { Message } from '../parity/bootstrap.ts'
import { type ClientTurn, get, type OriginScript } from '../parity/case.ts'

/** Something that goes wrong between a client, the proxy and an upstream of the fault's own, and how it has to end. */
export interface Fault {
  /** Also the first segment of its path, and its cluster's name. */
  name: string
  origin: OriginScript
  /** More of the route's action. */
  route?: Message
  /** More of the route. */
  onRoute?: Message
  /** More of the cluster. */
  cluster?: Message
  /** `/name` is in the place of `PATH`; one plain request without. */
  turns?: readonly (ClientTurn | string)[]
  /** For each turn: the status, `cut` behind it when the answer broke off; `-` when there was none. */
  client: readonly string[]
  /** For each request, as the access log says it: code, flags, details. Order of the log lines does not count. */
  log: readonly string[]
}

/** What a client sends for a fault. */
export function turnsOf(fault: Fault): ClientTurn[] {
  const at = (piece: string | number): string | number =>
    typeof piece === 'number' ? piece : piece.replaceAll('PATH', `/${fault.name}`)
  return (fault.turns ?? [get('PATH')]).map((turn) => {
    const whole: ClientTurn = typeof turn === 'string' ? { send: [turn] } : turn
    return { patienceMs: 4000, ...whole, send: whole.send.map(at) }
  })
}
