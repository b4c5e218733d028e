import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../../processes.ts'
import type { MeshUnderTest } from '../mesh-under-test.ts'
import { expect, type Scenario } from '../scenario.ts'
import { Traffic } from '../traffic.ts'
import { pageProblem, versionsSeen } from './pages.ts'

/** Each part of the control plane is killed under load: requests go on, it comes back, and everyone finds it again. */
export async function resilienceChecks(scenario: Scenario, mesh: MeshUnderTest): Promise<void> {
  scenario.section('kill -9 under load')
  for (const name of ['pilot', 'mixer', 'mixer-2', 'citadel']) {
    await scenario.attempt(`${name}: requests go on, and it is running again`, async () => {
      const traffic = new Traffic(`${mesh.gateway}/productpage`, 2, pageProblem)
      try {
        await until(() => traffic.sent > 20, 'traffic')
        const before = mesh.part(name)
        process.kill(before.pid ?? 0, 'SIGKILL')
        const sentAtKill = traffic.sent
        await until(() => isBack(mesh, name, before.pid), `${name} to be ready again`)
        await until(() => traffic.sent > sentAtKill + 50, 'traffic to go on')
      } finally {
        await traffic.end()
      }
      expect(traffic.failed === 0, traffic.describe())
      return `${traffic.sent} pages`
    })
  }
  await scenario.attempt('every proxy finds Pilot again', async () => {
    const proxies = mesh.state().parts.filter(({ kind }) => kind === 'sidecar' || kind === 'gateway').length
    let seen = 0
    await until(async () => {
      const { code, output } = await mesh.weft('proxy-status', '-o', 'json')
      seen = code === 0 ? output.split('"node":').length - 1 : 0
      return seen === proxies
    }, `${proxies} proxies in weft proxy-status`)
    return `${seen} proxies`
  })
  await scenario.attempt('and what is applied now takes effect', async () => {
    const file = join(mesh.stateFolder, 'after-kill.yaml')
    await writeFile(file, toVersion3)
    await mesh.apply(file)
    const seen = await versionsSeen(mesh.gateway, 12)
    expect(seen.size === 1 && seen.has('v3'), `saw ${[...seen].join(', ')}`)
    await mesh.weft('delete', '-f', file)
    return undefined
  })
}

function isBack(mesh: MeshUnderTest, name: string, before: number | undefined): boolean {
  const now = mesh.part(name)
  return now.state === 'ready' && now.pid !== before
}

const toVersion3 = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, subsets: [{ name: v3, labels: { version: v3 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec: { hosts: [reviews], http: [{ route: [{ destination: { host: reviews, subset: v3 } }] }] }
`
