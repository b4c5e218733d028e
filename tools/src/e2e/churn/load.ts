import { Worker } from 'node:worker_threads'
import type { Scenario } from '../scenario.ts'
import type { ClientCount, ClientWork } from './client-thread.ts'

/** Origins on a thread of their own; gives their ports. */
export async function startOrigins(scenario: Scenario): Promise<number[]> {
  const thread = new Worker(new URL('./origin-thread.ts', import.meta.url), { workerData: ['1', '2', '3', '4'] })
  scenario.cleanup(async () => void (await thread.terminate()))
  return new Promise<number[]>((resolve, reject) => thread.once('message', resolve).once('error', reject))
}

/** A thread of clients that send until they are told to end. */
export interface Client {
  count(): ClientCount
  end(): Promise<void>
}

export function startClient(scenario: Scenario, work: ClientWork): Client {
  const thread = new Worker(new URL('./client-thread.ts', import.meta.url), { workerData: work })
  let count: ClientCount = { requests: 0, failures: {} }
  thread.on('message', (message: ClientCount) => {
    count = message
  })
  const gone = new Promise<void>((resolve, reject) => thread.once('exit', () => resolve()).once('error', reject))
  scenario.cleanup(async () => void (await thread.terminate()))
  return {
    count: () => count,
    async end() {
      thread.postMessage('end')
      await gone
    },
  }
}
