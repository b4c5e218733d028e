import { WeftError } from '@weft/service/errors'
import type { Call, OpenHandler } from '../adapter.ts'
import type { DispatchMetrics } from './metrics.ts'

/** What a failed handler means for the request that asked it. */
export type OnError = 'allow' | 'deny'

/** A handler in use: what it does, what its failure means, and how long and how often it may be under way. */
export interface LiveHandler {
  /** `name.kind.namespace` */
  readonly name: string
  readonly adapter: string
  readonly open: OpenHandler
  readonly onError: OnError
  readonly deadlineMs: number
  /** Calls whose answer is awaited. */
  inFlight: number
}

/** Calls of one handler that may be awaited at a time; more are refused at once rather than queued. */
const MAX_IN_FLIGHT = 10_000

/** A handler did not answer; it has been counted and logged. */
export class HandlerFailure {
  readonly error: WeftError

  constructor(error: WeftError) {
    this.error = error
  }
}

/** A call whose signal is made only for a handler that looks at it: making one costs more than most handlers. */
export class LazyCall implements Call {
  #abort: AbortController | undefined
  #expired = false

  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#expired) this.#abort.abort()
    return this.#abort.signal
  }

  expire(): void {
    this.#expired = true
    this.#abort?.abort()
  }
}

/**
 * Calls a handler so that nothing but its own answer can suffer: a throw, a rejected promise and a missed deadline
 * each give a `HandlerFailure`. An answer that is there at once is given at once.
 */
export function guarded<Answer, Kind extends LazyCall>(
  handler: LiveHandler,
  metrics: DispatchMetrics,
  deadlineMs: number,
  call: Kind,
  run: (call: Kind) => Answer | Promise<Answer>,
): Answer | HandlerFailure | Promise<Answer | HandlerFailure> {
  if (handler.inFlight >= MAX_IN_FLIGHT) {
    return failed(handler, metrics, new WeftError('resource_exhausted', `${MAX_IN_FLIGHT} calls are under way already`))
  }
  try {
    const answer = run(call)
    return answer instanceof Promise ? awaited(handler, metrics, Math.min(deadlineMs, handler.deadlineMs), call, answer) : answer
  } catch (thrown) {
    return failed(handler, metrics, WeftError.from(thrown))
  }
}

async function awaited<Answer>(
  handler: LiveHandler,
  metrics: DispatchMetrics,
  deadlineMs: number,
  call: LazyCall,
  answer: Promise<Answer>,
): Promise<Answer | HandlerFailure> {
  const startMs = performance.now()
  handler.inFlight++
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new WeftError('deadline_exceeded', `no answer within ${deadlineMs} ms`))
      call.expire()
    }, deadlineMs)
  })
  try {
    return await Promise.race([answer, deadline])
  } catch (thrown) {
    return failed(handler, metrics, WeftError.from(thrown))
  } finally {
    clearTimeout(timer)
    handler.inFlight--
    metrics.handlerDuration(handler.name, performance.now() - startMs)
  }
}

function failed(handler: LiveHandler, metrics: DispatchMetrics, error: WeftError): HandlerFailure {
  metrics.handlerFailed(handler, error)
  return new HandlerFailure(error)
}
