import { join, resolve } from 'node:path'
import type { Platform, PlatformService } from '@weft/pilot/registries/conformance/platform'
import { many } from '@weft/pilot/registries/conformance/samples'
import { filePlatform } from '@weft/pilot/registries/file/platform'
import { installConsul } from '../consul/install.ts'
import { consulPlatform } from '../e2e/registries/consul-platform.ts'
import { kubernetesOfServer } from '../e2e/registries/kubernetes-platform.ts'
import { nomadPlatform } from '../e2e/registries/nomad-platform.ts'
import { installKubernetes } from '../kubernetes/install.ts'
import { cpuMicroseconds, freePort, type Running, residentMiB, start, until } from '../processes.ts'
import { type BenchOptions, chosen } from './bench-options.ts'
import { formatTable, median } from './table.ts'

const instancesOfEach = 100
const crowds = [1_000, 10_000]
const patienceMs = 300_000

const platforms: Readonly<Record<string, () => Promise<Platform | undefined>>> = {
  file: filePlatform,
  kubernetes: async () => {
    const bin = installKubernetes()
    return bin === undefined ? undefined : await kubernetesOfServer(bin)
  },
  consul: async () => {
    const binary = installConsul()
    return binary === undefined ? undefined : await consulPlatform(binary)
  },
  nomad: nomadPlatform,
}

/**
 * What a platform's endpoints cost Pilot: CPU and memory until it knows 1,000 and 10,000 of them, and for the change of one. `--only`
 * names platforms.
 */
export async function benchRegistries({ rounds, only }: BenchOptions): Promise<void> {
  const rows: string[][] = []
  const measured: object[] = []
  for (const name of chosen(Object.keys(platforms), only)) {
    const platform = await platforms[name]?.()
    if (platform === undefined) {
      console.log(`${name}: skipped, it is not on this machine and could not be built`)
      continue
    }
    try {
      for (const count of crowds) {
        const result = await measure(platform, many(count / instancesOfEach, instancesOfEach), rounds)
        measured.push({ platform: name, endpoints: count, ...result })
        rows.push([name, String(count), ...Object.values(result).map((value) => value.toFixed(value < 100 ? 1 : 0))])
      }
    } finally {
      await platform.close()
    }
  }
  console.log(
    formatTable(['platform', 'endpoints', 'known after s', 'CPU s', 'MiB', 'a change: ms', 'CPU ms', 'idle CPU ms/s'], rows),
  )
  console.log(JSON.stringify({ bench: 'registries', measured }))
}

async function measure(platform: Platform, services: readonly PlatformService[], rounds: number) {
  await platform.set(services)
  const admin = await freePort()
  const startedMs = performance.now()
  const main = resolve(join(import.meta.dirname, '../../../apps/pilot/src/main.ts'))
  const pilot = start([
    ...[process.execPath, main, '--plaintext-grpc-address', '127.0.0.1:0', '--admin-address', `127.0.0.1:${admin}`],
    ...['--log-level', 'warn', ...(platform.pilotFlags ?? [])],
  ])
  try {
    const api = `http://127.0.0.1:${admin}`
    await until(async () => (await fetch(`${api}/healthz/ready`).catch(() => undefined))?.ok === true, 'Pilot', pilot, patienceMs)
    await until(async () => (await endpointCount(api)) === services.length * instancesOfEach, 'all endpoints', pilot, patienceMs)
    const knownSeconds = (performance.now() - startedMs) / 1_000
    const startCpuSeconds = cpuMicroseconds(pilot.pid) / 1e6
    const changesMs: number[] = []
    const changesCpuMs: number[] = []
    for (let round = 1; round <= rounds; round++) {
      const { ms, cpuMs } = await changeOne(platform, moved(services, round), api, pilot)
      changesMs.push(ms)
      changesCpuMs.push(cpuMs)
    }
    const idleFrom = cpuMicroseconds(pilot.pid)
    await new Promise((later) => setTimeout(later, 3_000))
    const idleCpuMs = (cpuMicroseconds(pilot.pid) - idleFrom) / 3_000
    return {
      knownSeconds,
      startCpuSeconds,
      mib: residentMiB(pilot.pid),
      changeMs: median(changesMs),
      changeCpuMs: median(changesCpuMs),
      idleCpuMs,
    }
  } finally {
    await pilot.stop()
  }
}

/** One endpoint moves; from before the platform is told until Pilot's model has it. */
async function changeOne(platform: Platform, services: readonly PlatformService[], api: string, pilot: Running) {
  const before = await generation(api)
  const cpu = cpuMicroseconds(pilot.pid)
  const startedMs = performance.now()
  await platform.set(services)
  await until(async () => (await generation(api)) > before, 'the change', pilot, patienceMs)
  const ms = performance.now() - startedMs
  // What comes after it is its cost too.
  await new Promise((settle) => setTimeout(settle, 200))
  return { ms, cpuMs: (cpuMicroseconds(pilot.pid) - cpu) / 1_000 }
}

function moved([first, ...others]: readonly PlatformService[], round: number): PlatformService[] {
  if (first === undefined) return []
  const [one, ...rest] = first.instances
  return one === undefined
    ? [first, ...others]
    : [{ ...first, instances: [{ ...one, address: `10.99.0.${round}` }, ...rest] }, ...others]
}

async function generation(api: string): Promise<number> {
  return ((await (await fetch(`${api}/v1/status`)).json()) as { generation: number }).generation
}

async function endpointCount(api: string): Promise<number> {
  const { services } = (await (await fetch(`${api}/v1/registry`)).json()) as { services: { endpoints: unknown[] }[] }
  return services.reduce((sum, { endpoints }) => sum + endpoints.length, 0)
}
