import { expect, test } from 'vitest'
import { ProxyLog } from '../log.ts'
import { StatsReader } from '../observe/stats-reader.ts'
import type { ResourceUpdate } from '../threads.ts'
import { RecordingWorker } from './testing/recording-worker.ts'
import { Workers, type WorkersOptions } from './workers.ts'

function start(worker: RecordingWorker): Workers {
  const init: WorkersOptions['init'] = {
    node: { id: 'n', cluster: 'c', metadata: {}, locality: { region: '', zone: '', subZone: '' } },
    endpointSlab: new SharedArrayBuffer(0),
    processState: new SharedArrayBuffer(0),
    tokenBuckets: new SharedArrayBuffer(0),
    drainTimeMs: 0,
    logLevel: 'off',
    localCluster: '',
  }
  const log = new ProxyLog({ level: 'off', componentLevels: new Map() })
  const options = { concurrency: 1, init, log: log.of('worker'), onLog: () => undefined, stats: new StatsReader() }
  return new Workers({ ...options, factory: () => worker })
}

const cluster = (name: string, bytes: Uint8Array | null = new Uint8Array([1])): ResourceUpdate => ({
  kind: 'cluster',
  name,
  bytes,
})

const updates = (worker: RecordingWorker): string[][] =>
  worker.messages.flatMap((message) =>
    message.type === 'update' && message.resources.length > 0 ? [message.resources.map(({ name }) => name)] : [],
  )

test('what is published in one turn goes as one update, the last word on each name', async () => {
  const worker = new RecordingWorker()
  worker.refuse.set('cluster/c', 'no')
  const workers = start(worker)
  await workers.publish([])
  const answers = await Promise.all([
    workers.publish([cluster('a'), cluster('b')]),
    workers.publish([cluster('c')]),
    workers.publish([cluster('a', null)]),
  ])
  expect(updates(worker)).toEqual([['b', 'c', 'a']])
  expect([...worker.live.keys()]).toEqual(['cluster/b'])
  // Each hears of its own errors.
  expect(answers).toEqual([[], [{ kind: 'cluster', name: 'c', message: 'no' }], []])
  await workers.stop()
})

test('many go in several updates, so that requests get their turn in between', async () => {
  const worker = new RecordingWorker()
  const workers = start(worker)
  await workers.publish([])
  await Promise.all(Array.from({ length: 1000 }, (_, i) => workers.publish([cluster(`c${i}`)])))
  expect(worker.live.size).toBe(1000)
  expect(Math.max(...updates(worker).map((names) => names.length))).toBeLessThanOrEqual(64)
  await workers.stop()
})

test('nothing that is told to all overtakes an update', async () => {
  const worker = new RecordingWorker()
  const workers = start(worker)
  await workers.publish([])
  void workers.publish([cluster('a')])
  workers.drain('all', false)
  expect(worker.messages.slice(-2).map(({ type }) => type)).toEqual(['update', 'drain'])
  await workers.stop()
})
