import { address, type Message } from '../parity/bootstrap.ts'
import type { ClientTurn, OriginAnswer, Ports } from '../parity/case.ts'
import { originAnswers } from './answers.ts'
import { type Choice, choiceOf } from './choice.ts'
import type { Kind } from './kinds.ts'
import { listener } from './listeners.ts'
import { http1Bytes, http2Request, type PlainRequest, plainRequest } from './requests.ts'

/** Requests that one connection of a client carries, and what it does with them. */
export interface Unit {
  requests: PlainRequest[]
  turn: ClientTurn
}

/** Everything that a seed decides. */
export interface World {
  listeners: readonly string[]
  answers: readonly OriginAnswer[]
  units: ReadonlyMap<string, readonly Unit[]>
  bootstrap(ports: Ports, logFile: string): Message
}

/** Starting two proxies costs more than all requests of a listener: a seed has several. */
const listenerCount = 4
const unitCount = 24

export function worldOf(seed: number, kind: Kind): World {
  const choice = choiceOf(seed)
  const listeners = Array.from({ length: listenerCount }, (_, index) => `l${index}`)
  const answers = originAnswers(choice)
  const units = new Map(
    listeners.map((name) => [name, Array.from({ length: unitCount }, (_, index) => unit(choice, kind, `${name}-${index}`))]),
  )
  const configuration = choice.below(2 ** 30)
  return {
    listeners,
    answers,
    units,
    bootstrap(ports, logFile) {
      const made = listeners.map((name, index) => listener(choiceOf(configuration + index), name, ports, logFile))
      return {
        admin: { address: address(ports['admin'] ?? 0) },
        static_resources: {
          listeners: made.map((one) => one.listener),
          clusters: made.flatMap((one) => one.clusters),
        },
      }
    },
  }
}

function unit(choice: Choice, kind: Kind, id: string): Unit {
  // Two at most: of three answers of its own that one read brings Envoy gives two.
  const count = choice.chance(12) ? 2 : 1
  const requests = Array.from({ length: count }, (_, index) => plainRequest(choice, `${id}.${index}`))
  const bytes = requests.map(http1Bytes)
  // Together, or each after a while: by then the one before is answered.
  const send = choice.chance(50) ? [bytes.join('')] : bytes.flatMap((one, index) => (index === 0 ? [one] : [600, one]))
  const turn: ClientTurn =
    kind === 'http2' ? { send: [], http2: requests.map(http2Request) } : { send, answers: count, patienceMs: 2500 }
  return { requests, turn }
}
