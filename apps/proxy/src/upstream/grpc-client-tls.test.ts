import { once } from 'node:events'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import { type ConnectionOptions, createSecureContext, type SecureContextOptions, TLSSocket } from 'node:tls'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ProcessState } from '../shared/process-state.ts'
import { TokenBuckets } from '../shared/token-buckets.ts'
import { TestAuthority } from '../testing/certificates.ts'
import { TimerWheel } from '../transport/timer-wheel.ts'
import type { WorkerServices } from '../worker-services.ts'
import { GrpcClient, type UnaryMethod } from './grpc-client.ts'

const whoami: UnaryMethod<string, string> = {
  path: '/test.Who/Am',
  encode: (text) => Buffer.from(text),
  decode: (bytes) => Buffer.from(bytes).toString(),
}

const MIXER = 'spiffe://cluster.local/ns/istio-system/sa/mixer'

let authority: TestAuthority
let server: Http2SecureServer
let port: number
let options: ConnectionOptions | 'not-ready'
let client: GrpcClient
let timers: TimerWheel

async function identity(uri: string): Promise<SecureContextOptions> {
  return { ...(await authority.issue(uri)), ca: authority.pem }
}

/** As the plan's TLS does it: the name is matched as configured. */
async function clientOptions(uri: string, expected: string): Promise<ConnectionOptions> {
  return {
    secureContext: createSecureContext(await identity(uri)),
    rejectUnauthorized: true,
    ALPNProtocols: ['istio'],
    checkServerIdentity: (_host, peer) =>
      peer.subjectaltname === `URI:${expected}` ? undefined : new Error(`the server is ${peer.subjectaltname}`),
  }
}

beforeAll(async () => {
  authority = await TestAuthority.create()
})

beforeEach(async () => {
  server = createSecureServer({ ...(await identity(MIXER)), requestCert: true, rejectUnauthorized: true })
  server.on('sessionError', () => {})
  server.on('stream', (stream) => {
    const socket = stream.session?.socket
    const name = socket instanceof TLSSocket ? String(socket.getPeerCertificate().subjectaltname) : 'nobody'
    const body = Buffer.from(name)
    const head = Buffer.alloc(5)
    head.writeUInt32BE(body.length, 1)
    stream.respond({ ':status': 200 }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(Buffer.concat([head, body]))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  port = address.port
  timers = new TimerWheel()
  const services: WorkerServices = {
    node: { id: '', cluster: '', metadata: {}, locality: { region: '', zone: '', subZone: '' } },
    timers,
    processState: new ProcessState(),
    tokenBuckets: new TokenBuckets(8),
    cluster: (name) => ({
      name,
      connectTimeoutMs: 2000,
      pickAddress: () => ({ host: '127.0.0.1', port, key: `127.0.0.1:${port}` }),
      httpVersion: () => 20,
      membership: () => ({ total: 1, healthy: 1, degraded: 0 }),
      tlsOptions: () => options,
      beginRequest: () => ({ connecting: () => {}, sent: () => {}, interim: () => {}, end: () => {} }),
    }),
    log: () => {},
  }
  client = new GrpcClient(services, 'mixer')
})

afterEach(() => {
  client.close()
  timers.close()
  server.close()
})

describe('a gRPC client of a cluster with TLS', () => {
  it('shows its certificate, and a new one after the secrets rotated', async () => {
    options = await clientOptions('spiffe://cluster.local/ns/default/sa/a', MIXER)
    expect(await client.unary(whoami, '', { deadlineMs: 5000 })).toBe('URI:spiffe://cluster.local/ns/default/sa/a')
    options = await clientOptions('spiffe://cluster.local/ns/default/sa/b', MIXER)
    expect(await client.unary(whoami, '', { deadlineMs: 5000 })).toBe('URI:spiffe://cluster.local/ns/default/sa/b')
  })

  it('calls nobody but the expected server', async () => {
    options = await clientOptions('spiffe://cluster.local/ns/default/sa/a', 'spiffe://cluster.local/ns/other/sa/mixer')
    await expect(client.unary(whoami, '', { deadlineMs: 5000 })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining(`the server is URI:${MIXER}`),
    })
  })

  it('says that the secrets are not there yet', async () => {
    options = 'not-ready'
    await expect(client.unary(whoami, '', { deadlineMs: 5000 })).rejects.toThrow('its secrets have not come yet')
  })
})
