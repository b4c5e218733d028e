import { Worker } from 'node:worker_threads'
import type { WorkerFactory } from './workers.ts'

/** Starts worker threads before anybody needs them, and gives the factory that hands them out (and makes more later). */
export function startThreads(count: number): WorkerFactory {
  const started: (Worker | undefined)[] = Array.from({ length: count }, (_, index) => startThread(index))
  return (index) => {
    const thread = started[index]
    started[index] = undefined
    return thread ?? startThread(index)
  }
}

/**
 * Nothing in a worker needs AsyncLocalStorage (in a user's filter it works all the same): without the context that Node keeps for it
 * around every callback of the event loop, a request costs 2.5 % less (`bench http1`, 48 rounds in turn).
 */
const threadFlags = ['--no-async-context-frame']

function startThread(index: number): Worker {
  // Not every flag of a process is one of a thread's too: where this process has some, the thread just gets what it may have of them.
  const flags = process.execArgv.length === 0 ? { execArgv: threadFlags } : {}
  return new Worker(new URL('../worker-thread.ts', import.meta.url), { name: `worker_${index}`, ...flags })
}
