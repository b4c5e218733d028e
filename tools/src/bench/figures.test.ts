import { expect, test } from 'vitest'
import { figuresOf } from './figures.ts'

const run = (bench: string, costs: Record<string, number>) =>
  JSON.stringify({ bench, results: Object.entries(costs).map(([name, cpuMicros]) => ({ name, cpuMicros, times: 1 })) })

test('a line for each benchmark that was run, several runs of one in one line, and whatever else was printed passed over', () => {
  const printed = [
    'HTTP/1.1, 64 connections',
    run('tcp', { haproxy: 2000, envoy: 800, weft: 1043.4 }),
    run('http1', { nginx: 20, envoy: 100, weft: 30 }),
    run('http1', { nginx: 25, envoy: 90, weft: 31.94 }),
    run('h2-h2', { envoy: 40, weft: 10 }),
    JSON.stringify({ bench: 'csr', perSecond: 5 }),
  ]
  expect(figuresOf(printed.join('\n')).split('\n')).toEqual([
    '| benchmark | ours | × nginx | × Envoy |',
    '| --- | --- | --- | --- |',
    '| `http1`: 64 connections, 2 runs | 30.0 to 31.9 µs | 1.28 to 1.50 | 0.30 to 0.35 |',
    '| `h2`: to HTTP/2 servers | 10.0 µs |  | 0.25 |',
    '| `tcp`: a MiB | 1,043 µs | 0.52 × haproxy | 1.30 |',
  ])
})
