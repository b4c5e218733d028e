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

function startThread(index: number): Worker {
  return new Worker(new URL('../worker-thread.ts', import.meta.url), { name: `worker_${index}` })
}
