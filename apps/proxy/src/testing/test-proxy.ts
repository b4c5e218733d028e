import { expect, onTestFinished } from 'vitest'
import type { ResourceUpdate } from '../threads.ts'
import { cluster, connectionManager, listener, routeTo } from './resources.ts'
import { Upstream, WorkerHarness } from './worker-harness.ts'

/** A worker that ends with the test that calls this. */
export function worker(): WorkerHarness {
  const proxy = new WorkerHarness()
  onTestFinished(() => proxy.close())
  return proxy
}

/** An HTTP server, listening, that ends with the test that calls this; it says hello unless it is told what to answer. */
export async function upstream(...answer: ConstructorParameters<typeof Upstream>): Promise<Upstream> {
  const server = new Upstream(...answer)
  await server.listen()
  onTestFinished(() => server.close())
  return server
}

/** A worker whose listener `in` has this HTTP connection manager (unless told, one route for all); cluster `c` is at the port. */
export async function proxyTo(
  port: number,
  manager = connectionManager([routeTo('c')]),
  ...more: ResourceUpdate[]
): Promise<WorkerHarness> {
  const proxy = worker()
  expect(await proxy.apply(...more, cluster('c', [port]), listener('in', [{ filters: [manager] }]))).toEqual([])
  return proxy
}
