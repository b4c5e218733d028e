/**
 * The scenario `local`: a whole mesh, started by `weft up` with Bookinfo, looked at from outside. Istio's own samples are
 * applied unmodified while traffic runs.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../processes.ts'
import { adapterChecks } from './local/adapter.ts'
import { gatewayCertificates } from './local/certificates.ts'
import { kindsChecks } from './local/istio-kinds.ts'
import { pageProblem } from './local/pages.ts'
import { policyChecks, quotaChecks, telemetryChecks } from './local/policy.ts'
import { processesOf } from './local/remains.ts'
import { resilienceChecks } from './local/resilience.ts'
import { samplesChecks } from './local/samples.ts'
import { securityChecks } from './local/security.ts'
import { tcpChecks } from './local/tcp.ts'
import { MeshUnderTest, samples } from './mesh-under-test.ts'
import { startRedis } from './redis.ts'
import { expect, type Scenario } from './scenario.ts'
import { get } from './traffic.ts'

export async function localScenario(scenario: Scenario): Promise<void> {
  scenario.section('one command starts the mesh')
  const adapters = await mkdtemp(join(tmpdir(), 'weft-adapters-'))
  scenario.cleanup(() => rm(adapters, { recursive: true, force: true }))
  const redis = await startRedis()
  if (redis !== undefined) scenario.cleanup(() => redis.stop())
  const args = ['--mixer-replicas', '2', '--adapter-dir', adapters, '--timings']
  const mesh = await MeshUnderTest.start([...args, ...(redis === undefined ? [] : ['--redis', redis.url])])
  scenario.cleanup(() => mesh.stop())
  await scenario.attempt('weft up tells its progress, then the URLs', async () => {
    const said = (): string => mesh.running.output()
    await until(() => said().includes(`${mesh.gateway}/productpage`), 'weft up to tell the URLs', mesh.running, 10_000)
    expect(/✓ pilot/.test(said()), said())
    return /mesh ready in [\d.]+ s/.exec(said())?.[0]
  })
  await scenario.attempt('the page comes through gateway and sidecars', async () => {
    const problem = pageProblem(await get(`${mesh.gateway}/productpage`))
    expect(problem === undefined, problem ?? '')
    return undefined
  })

  await securityChecks(scenario, mesh)
  if (existsSync(samples)) await samplesChecks(scenario, mesh)
  else scenario.skip("Istio's own samples take effect while traffic runs", '../shared/cases is not beside this checkout')
  await policyChecks(scenario, mesh)
  if (redis !== undefined) await quotaChecks(scenario, mesh)
  else scenario.skip('a quota is shared by two Mixers', 'redis-server is not installed')
  await telemetryChecks(scenario, mesh)
  await kindsChecks(scenario, mesh)
  await gatewayCertificates(scenario, mesh)
  await adapterChecks(scenario, mesh, adapters)
  await resilienceChecks(scenario, mesh)
  await endChecks(scenario, mesh)
  await tcpChecks(scenario)
}

async function endChecks(scenario: Scenario, mesh: MeshUnderTest): Promise<void> {
  scenario.section('Ctrl-C')
  const pids = mesh.state().parts.flatMap((part) => (part.pid === undefined ? [] : [part.pid]))
  await scenario.attempt('ends every process of the mesh', async () => {
    const started = performance.now()
    mesh.running.child.kill('SIGINT')
    await until(() => mesh.running.child.exitCode !== null, 'weft up to end', undefined, 30_000)
    const took = performance.now() - started
    const left = processesOf(mesh.stateFolder, pids)
    expect(left.length === 0, `left: ${left.join('; ')}`)
    expect(mesh.running.child.exitCode === 0, `weft up ended with exit code ${mesh.running.child.exitCode}`)
    return `${pids.length} processes in ${(took / 1000).toFixed(1)} s`
  })
}
