import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { serverCertificate } from '../testing/server-certificate.ts'
import { PlatformClient } from './platform-client.ts'

test('over TLS a client certificate is shown; files that are put right are read again, as is a replaced token', async () => {
  const [own, client, stranger] = await Promise.all(['localhost', 'pilot', 'stranger'].map(serverCertificate))
  if (own === undefined || client === undefined || stranger === undefined) throw new Error('no certificates')
  const trusted = { ca: client.bundlePem, requestCert: true, rejectUnauthorized: true }
  const server = createServer({ key: own.privateKeyPem, cert: own.chainPem, ...trusted }, ({ headers, socket }, response) => {
    const names = (socket as TLSSocket).getPeerCertificate().subjectaltname
    response.end(JSON.stringify({ token: headers['x-token'], names }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const folder = await mkdtemp(join(tmpdir(), 'weft-platform-client-'))
  onTestFinished(async () => {
    platform.close()
    server.closeAllConnections()
    server.close()
    await rm(folder, { recursive: true, force: true })
  })
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const at = (name: string): string => join(folder, name)
  const write = (files: Readonly<Record<string, string>>): Promise<unknown> =>
    Promise.all(Object.entries(files).map(([name, text]) => writeFile(at(name), text)))
  const platform = new PlatformClient({
    ...{ platform: 'Nomad', url: new URL(`https://localhost:${port}`), tokenHeader: 'x-token', maxConnections: 2 },
    ...{ tokenFile: at('token'), caFile: at('ca'), certFile: at('cert'), keyFile: at('key') },
  })
  const ask = (): Promise<unknown> =>
    platform.get('/v1/x', {}, { signal: AbortSignal.timeout(30_000), timeoutMs: 10_000 }).then(
      ({ body }) => body,
      (error: Error) => error.message,
    )
  const patience = { timeout: 20_000, interval: 100 }

  await expect(ask()).resolves.toMatch(/credentials cannot be read/)
  await write({ token: 'one', ca: stranger.bundlePem, cert: stranger.chainPem, key: stranger.privateKeyPem })
  await expect.poll(ask, patience).toMatch(/self-signed certificate|unable to (get|verify)/)
  await write({ ca: own.bundlePem })
  await expect
    .poll(ask, patience)
    .toMatch(/Nomad at https:\/\/localhost:\d+ cannot be followed: (TLS: .*alert|.*ECONNRESET|.*socket hang up)/)
  await write({ cert: client.chainPem, key: client.privateKeyPem })
  await expect.poll(ask, patience).toEqual({ token: 'one', names: 'DNS:pilot' })
  await write({ token: 'two\n' })
  await expect.poll(ask, patience).toEqual({ token: 'two', names: 'DNS:pilot' })
}, 90_000)
