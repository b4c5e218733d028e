import { describe, expect, it, onTestFinished } from 'vitest'
import { type AdminServerOptions, Readiness, startAdminServer } from './admin-server.ts'
import { WeftError } from './errors.ts'
import { createLifecycle } from './lifecycle.ts'
import { createLogger } from './logger.ts'
import { createRegistry } from './metrics.ts'

const logger = createLogger('test', 'silent')
async function start(more: Partial<AdminServerOptions> = {}) {
  const lifecycle = createLifecycle('test', logger)
  onTestFinished(() => lifecycle.stop('end of test'))
  const readiness = new Readiness()
  const registry = createRegistry('thing', '1.2.3')
  const url = await startAdminServer({ address: '127.0.0.1:0', logger, readiness, registry, lifecycle, ...more })
  return { url, readiness, lifecycle }
}

describe('the admin server', () => {
  it('is live at once and ready when nothing is waited for', async () => {
    const { url, readiness } = await start()
    readiness.hold('identity', 'waiting for a certificate')
    expect((await fetch(`${url}/healthz/live`)).status).toBe(200)
    const waiting = await fetch(`${url}/healthz/ready`)
    expect(waiting.status).toBe(503)
    expect(await waiting.json()).toEqual({ status: 'waiting', waiting: { identity: 'waiting for a certificate' } })
    readiness.release('identity')
    expect((await fetch(`${url}/healthz/ready`)).status).toBe(200)
  })

  it('serves metrics as Prometheus text, with build info', async () => {
    const { url } = await start()
    const response = await fetch(`${url}/metrics`)
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(await response.text()).toContain(`weft_build_info{service="thing",version="1.2.3",node="${process.version}"} 1`)
  })

  it('answers an error with its status, and one of ours with where and what to do', async () => {
    const { url } = await start({
      routes: (server) => {
        server.get('/missing', async () => {
          throw new WeftError('not_found', 'no such rule', { where: { file: 'a.yaml', line: 3 }, hint: 'add it' })
        })
        server.get('/broken', async () => {
          throw new TypeError('x is not a function')
        })
        server.post('/echo', async (request) => request.body)
      },
    })
    const missing = await fetch(`${url}/missing`)
    expect(missing.status).toBe(404)
    expect(await missing.json()).toEqual({
      error: 'a.yaml:3: no such rule (add it)',
      code: 'not_found',
      where: { file: 'a.yaml', line: 3 },
    })
    expect((await fetch(`${url}/broken`)).status).toBe(500)
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' }
    expect((await fetch(`${url}/echo`, post)).status).toBe(400)
    expect((await fetch(`${url}/nowhere`)).status).toBe(404)
  })

  it('says which address is taken', async () => {
    const { url } = await start()
    const { host } = new URL(url)
    await expect(start({ address: host })).rejects.toThrow(`admin server cannot listen on ${host}`)
  })
})
