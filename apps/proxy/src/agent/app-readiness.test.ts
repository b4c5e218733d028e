import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { followReadiness } from './app-readiness.ts'

const patience = { timeout: 15_000 }

test('what the application answers is told when it is known and when it changes, after as many answers as are wanted', async () => {
  let status = 200
  let asked = 0
  const app = createServer((_request, response) => {
    asked++
    response.writeHead(status).end('so it is')
  })
  await new Promise<void>((resolve) => app.listen(0, 'localhost', resolve))
  onTestFinished(() => new Promise<void>((resolve) => void app.close(() => resolve())))
  const { port } = app.address() as AddressInfo
  const told: (string | undefined)[] = []
  const probe = { httpGet: { port, path: '/ready' }, periodSeconds: 0.01, timeoutSeconds: 10, failureThreshold: 2 }
  const stop = followReadiness(probe, (problem) => void told.push(problem))
  onTestFinished(stop)
  await expect.poll(() => told, patience).toEqual([undefined])
  status = 503
  const before = asked
  await expect.poll(() => told, patience).toEqual([undefined, 'the readiness probe was answered 503: so it is'])
  expect(asked - before).toBeGreaterThanOrEqual(2)
  status = 204
  await expect.poll(() => told.length, patience).toBe(3)
  stop()
})

test.each([
  ['that ends well', ['true'], undefined],
  ['that does not', ['false'], expect.stringContaining('the readiness probe was answered 500')],
])('a command %s says it', async (_, command, wanted) => {
  const told: (string | undefined)[] = []
  const probe = { exec: { command }, periodSeconds: 0.01, failureThreshold: 1, timeoutSeconds: 10 }
  onTestFinished(followReadiness(probe, (problem) => void told.push(problem)))
  await expect.poll(() => told, patience).toEqual([wanted])
})

test.each([
  [{}],
  [{ httpGet: {} }],
  [{ httpGet: { port: 1 }, exec: { command: ['true'] } }],
  [{ tcpSocket: { port: 1 }, periodSeconds: -1 }],
])('a probe that is none is refused: %j', (probe) => {
  expect(() => followReadiness(probe, () => undefined)).toThrow(/readinessProbe/)
})
