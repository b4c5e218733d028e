/**
 * `npm run e2e -- churn`: a control plane changes routes, clusters, endpoints, listeners and secrets a thousand times each
 * while a million requests go through the proxy, and not one fails. `WEFT_CHURN_CHANGES` and `WEFT_CHURN_REQUESTS` say
 * how many of each, for a shorter run, `WEFT_CHURN_WORKERS` by how many threads (2).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCertificate, selfIssuer } from '@weft/identity/certificate'
import { createKeyPair, privateKeyPem, publicKeyDer } from '@weft/identity/keys'
import { formatPem } from '@weft/identity/pem'
import { weftProxyCommand } from '../bench/proxy-command.ts'
import { freePort, residentMiB, start, until, untilListening } from '../processes.ts'
import { startControlPlane } from './churn/control-plane.ts'
import { startClient, startOrigins } from './churn/load.ts'
import { type ChurnState, churnBootstrap, kinds } from './churn/resources.ts'
import type { Scenario } from './scenario.ts'

const workers = process.env['WEFT_CHURN_WORKERS'] ?? '2'
const changes = Number(process.env['WEFT_CHURN_CHANGES'] ?? 1000)
const requests = Number(process.env['WEFT_CHURN_REQUESTS'] ?? 1_000_000)

export async function churnScenario(scenario: Scenario): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-churn-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const { certificates, authority } = await issueCertificates(8)
  const state: ChurnState = {
    versions: { route: 0, cluster: 0, endpoint: 0, listener: 0, secret: 0 },
    origins: await startOrigins(scenario),
    ports: { http: await freePort(), tls: await freePort() },
    certificates,
  }
  const control = await startControlPlane(state)
  scenario.cleanup(() => control.close())
  const file = join(folder, 'bootstrap.json')
  await writeFile(file, JSON.stringify(churnBootstrap(control.port, await freePort())))
  const proxy = start([...weftProxyCommand(), '-c', file, '--concurrency', workers, '-l', 'warn', '--drain-time-s', '5'])
  scenario.cleanup(() => proxy.stop())
  await untilListening(state.ports.http, proxy, undefined, 60_000)
  await untilListening(state.ports.tls, proxy, undefined, 60_000)

  scenario.section(`${changes} changes of each kind, ${requests} requests`)
  const clients = [
    startClient(scenario, { port: state.ports.http, connections: 24, perConnection: 1e9, pauseMs: 0 }),
    startClient(scenario, { port: state.ports.http, connections: 2, perConnection: 20, pauseMs: 2 }),
    startClient(scenario, { port: state.ports.tls, connections: 4, perConnection: 50, pauseMs: 5, authority }),
  ]
  const sent = (): number => clients.reduce((sum, { count }) => sum + count().requests, 0)
  const startedMs = performance.now()
  let halfwayMiB = 0
  for (let done = 0; done < changes; done++) {
    for (const kind of kinds) await control.change(kind)
    // By then heaps and compilers have taken what they take.
    if (done === Math.floor(changes / 2)) halfwayMiB = residentMiB(proxy.pid)
    // Changes and requests are spread over each other to the end.
    await until(
      () => sent() >= ((done + 1) * requests) / changes,
      `${done + 1} of ${changes} parts of the requests`,
      proxy,
      60_000,
    )
  }
  const seconds = (performance.now() - startedMs) / 1000
  const lateMiB = residentMiB(proxy.pid)
  await Promise.all(clients.map((client) => client.end()))
  const names = ['on lasting connections', 'on short connections', 'on TLS connections, most of them new']
  for (const [index, client] of clients.entries()) {
    const { requests: done, failures } = client.count()
    const failed = Object.entries(failures).map(([why, times]) => `${times} × ${why}`)
    scenario.check(`no request failed ${names[index]}`, failed.length === 0, failed.join('; ') || `${done} requests`, 'on')
  }
  scenario.check('all were sent', sent() >= requests, `${sent()} in ${seconds.toFixed(0)} s`, 'on')
  for (const kind of kinds) {
    const accepted = control.accepted.get(kind) ?? 0
    scenario.check(`every change of a ${kind} was accepted`, accepted >= changes, `${accepted}`, 'on')
  }
  scenario.check('none was refused', control.refusals.length === 0, control.refusals.slice(0, 3).join('; '), 'on')
  const grown = lateMiB - halfwayMiB
  scenario.check(
    'the proxy does not grow with them',
    grown < 48,
    `${halfwayMiB.toFixed(0)} MiB halfway, ${lateMiB.toFixed(0)} at the end`,
    'on',
  )
}

/** Certificates of one authority, for the secret to change between. */
async function issueCertificates(
  count: number,
): Promise<{ authority: string; certificates: { certificate: string; key: string }[] }> {
  const keys = await createKeyPair()
  const subject = { commonName: 'churn root' }
  const spki = publicKeyDer(keys.publicKey)
  const issuer = selfIssuer(keys.privateKey, spki, subject)
  const times = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) }
  const authority = formatPem('CERTIFICATE', createCertificate({ subject, spki, names: {}, ...times, use: 'authority' }, issuer))
  const certificates = await Promise.all(
    Array.from({ length: count }, async () => {
      const own = await createKeyPair()
      const names = { uris: ['spiffe://cluster.local/ns/default/sa/churned'] }
      const made = createCertificate({ subject: {}, spki: publicKeyDer(own.publicKey), names, ...times, use: 'workload' }, issuer)
      return { certificate: formatPem('CERTIFICATE', made), key: privateKeyPem(own.privateKey) }
    }),
  )
  return { authority, certificates }
}
