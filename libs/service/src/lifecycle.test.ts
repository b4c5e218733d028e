import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createLifecycle } from './lifecycle.ts'
import { createLogger } from './logger.ts'

const silent = createLogger('test', 'silent')

it('parts are closed in the reverse order, one after the other, also when one fails', async () => {
  const lifecycle = createLifecycle('thing', silent)
  const closed: string[] = []
  lifecycle.onStop('first', () => void closed.push('first'))
  lifecycle.onStop('second', async () => {
    await new Promise((resolve) => setImmediate(resolve))
    closed.push('second')
  })
  lifecycle.onStop('third', () => {
    closed.push('third')
    throw new Error('stuck')
  })
  expect(lifecycle.signal.aborted).toBe(false)
  const stopping = lifecycle.stop('test')
  expect(lifecycle.stop('again')).toBe(stopping)
  expect(lifecycle.signal.aborted).toBe(true)
  await stopping
  expect(closed).toEqual(['third', 'second', 'first'])
})

/** Runs a service in a process of its own; `body` is its `start`. */
function service(body: string, options = '') {
  const module = (name: string): string => JSON.stringify(join(import.meta.dirname, name))
  const script = `
    import { runService } from ${module('lifecycle.ts')}
    import { createLogger } from ${module('logger.ts')}
    import { WeftError } from ${module('errors.ts')}
    setInterval(() => {}, 1000)
    await runService({ name: 'thing', logger: createLogger('thing'), ${options} start: async (lifecycle) => { ${body} } })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  const ended = once(child, 'close')
  const seen = (text: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (log.includes(text)) resolve()
      }
      child.stderr.on('data', look)
      look()
    })
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString()
  })
  return { child, log: () => log, seen, exit: async () => (await ended)[0] }
}

it('SIGTERM stops a service in order, with code 0', async () => {
  const { child, log, seen, exit } = service(`lifecycle.onStop('part', () => console.error('part closed'))`)
  await seen('thing started')
  child.kill('SIGTERM')
  expect(await exit()).toBe(0)
  expect(log()).toMatch(/"reason":"SIGTERM".*part closed.*thing stopped/s)
})

it('two signals that come together are one wish: what closes is not cut', async () => {
  const { child, log, seen, exit } = service(`
    const heard = Promise.all(['SIGTERM', 'SIGINT'].map((signal) => new Promise((resolve) => process.once(signal, resolve))))
    lifecycle.onStop('part', () => heard.then(() => console.error('part closed')))`)
  await seen('thing started')
  child.kill('SIGTERM')
  child.kill('SIGINT')
  expect(await exit()).toBe(0)
  expect(log()).toContain('part closed')
})

it('a failed start is told in one line with where and what to do, closes what was open, and ends with code 1', async () => {
  const { log, exit } = service(`
    lifecycle.onStop('part', () => console.error('part closed'))
    throw new WeftError('unavailable', 'port in use', { where: { file: 'x.yaml' }, hint: 'choose another' })`)
  expect(await exit()).toBe(1)
  expect(log()).toContain('thing cannot start: x.yaml: port in use (choose another)')
  expect(log()).toContain('part closed')
})

it('a stop that hangs is cut after its time', async () => {
  const { child, log, seen, exit } = service(`lifecycle.onStop('part', () => new Promise(() => {}))`, 'drainMs: 100,')
  await seen('thing started')
  child.kill('SIGTERM')
  expect(await exit()).toBe(1)
  expect(log()).toContain('did not stop within 100 ms')
})

it('an error that nobody caught stops the service with code 1', async () => {
  const { log, exit } = service(`setTimeout(() => Promise.reject(new Error('lost')), 1)`)
  expect(await exit()).toBe(1)
  expect(log()).toContain('unhandled rejection')
})
