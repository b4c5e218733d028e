/**
 * Hostile HTTP/2 and HTTP/1.1 clients while others work: what they cost in memory and CPU, and what the others notice, whose
 * requests come at a steady rate and go to a server of their own. Ours beside real Envoy and nginx where those are present. The
 * proxy has a core, all else shares the other one. What is the machine's doing shows in two ways: as many requests go past the proxy,
 * and the same attack is made on a server that does nothing, while the others use the proxy.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nginxConfig } from '../bench/h2.ts'
import { weftProxyCommand } from '../bench/proxy-command.ts'
import { median } from '../bench/table.ts'
import { findCommand, findEnvoy } from '../peers.ts'
import { cpuMicroseconds, freePort, type Running, residentMiB, start, until, untilListening } from '../processes.ts'
import type { OthersSeen } from './abuse/others.ts'
import { cluster, http } from './parity/bootstrap.ts'
import { expect, type Scenario } from './scenario.ts'

/** Short ones, and several: where the machine stands still now and then, it does so in few of them. */
const windowMs = 1000
const repetitions = Number(process.env['WEFT_ABUSE_ROUNDS'] ?? 5)
const maxGrowthMiB = 100
const maxSlowdown = 2
/** What passes for the machine's own in the slowest answer of a hundred. */
const unseenMs = 2
/** With a slower one while nobody attacks, the machine is at other work, and times are told only. */
const quietEnoughMs = 5

/** What abuse/attackers.ts does; `mustClose`: it breaks a limit, and its connections have to be closed. */
const attacks = [
  { name: 'rapid reset', mustClose: true },
  { name: 'resets a moment later', mustClose: true },
  { name: 'a CONTINUATION flood', mustClose: true },
  { name: 'an HPACK bomb', mustClose: true },
  { name: 'windows of nothing before large answers', mustClose: false },
  { name: 'slow heads of HTTP/1.1', mustClose: false },
] as const

/** Where what runs: the proxy on a core of its own; attackers and their server must not take the other one from the others. */
const core0 = ['taskset', '-c', '0']
const core1 = ['taskset', '-c', '1']
// Under a real-time policy, which children inherit, nice counts for nothing.
const hostile = ['chrt', '--other', '0', 'nice', '-n', '19', ...core1]

/** A proxy under attack, and who else uses it. */
interface Victim {
  name: string
  port: number
  proxy: Running
  others: Running
}

/** The scenario. `WEFT_ABUSE_ONLY`: attacks whose name has it; `WEFT_ABUSE_VICTIM`: only this proxy. */
export async function abuseScenario(scenario: Scenario): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-abuse-'))
  scenario.cleanup(() => rmSync(folder, { recursive: true, force: true }))
  const begin = async (core: readonly string[], command: readonly string[], port: number): Promise<Running> => {
    const process = start([...core, ...command])
    scenario.cleanup(() => process.stop())
    await untilListening(port, process, '127.0.0.1', 90_000)
    return process
  }
  const origin = async (core: readonly string[]): Promise<number> => {
    const port = await freePort()
    await begin(core, [process.execPath, join(import.meta.dirname, 'abuse/origin.ts'), String(port)], port)
    return port
  }
  const origins = { attackers: await origin(hostile), others: await origin(core1) }
  const sink = await freePort()
  await begin(hostile, [process.execPath, join(import.meta.dirname, 'abuse/sink.ts'), String(sink)], sink)
  const victims: Victim[] = []
  for (const name of ['weft', 'envoy', 'nginx'] as const) {
    if ((process.env['WEFT_ABUSE_VICTIM'] ?? name) !== name) continue
    const port = await freePort()
    const command = await commandOf(name, port, origins, folder)
    if (command === undefined) {
      scenario.skip(`${name} beside it`, 'not present on this machine')
      continue
    }
    const proxy = await begin(core0, command, port)
    const script = join(import.meta.dirname, 'abuse/others.ts')
    const others = start([...core1, process.execPath, script, String(port), String(origins.others)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    scenario.cleanup(() => others.stop())
    await work(others)
    victims.push({ name, port, proxy, others })
  }
  const only = process.env['WEFT_ABUSE_ONLY'] ?? ''
  for (const { name, mustClose } of attacks.filter((attack) => attack.name.includes(only))) {
    scenario.section(name)
    for (const victim of victims) {
      if (victim.name === 'nginx' && name.includes('HTTP/1.1')) continue
      await scenario.attempt(victim.name, async () => {
        const seen = await attack(victim, name, mustClose, sink)
        // Of the peers it is told, and not judged.
        const { quietMs, besideMs, attackedMs, past, cores, grownMiB, turnedAway, sentMiB } = seen
        const told =
          `p99 of the others ${quietMs.toFixed(1)} -> ${attackedMs.toFixed(1)} ms (${(attackedMs / quietMs).toFixed(1)} x), ` +
          `with the attack beside it ${besideMs.toFixed(1)} ms, past the proxy ${past.quietMs.toFixed(1)} -> ${past.attackedMs.toFixed(1)} ms, ` +
          `${cores.toFixed(2)} cores, ${grownMiB} MiB more, ${turnedAway} connections turned away, ${sentMiB.toFixed(1)} MiB/s of attack`
        if (victim.name === 'weft') judge(seen, told)
        return told
      })
    }
  }
}

/** The medians of each p99, and what the attack cost at most. */
interface AttackSeen {
  quietMs: number
  /** While the sink is attacked. */
  besideMs: number
  attackedMs: number
  /** The same of requests that go past the proxy. */
  past: { quietMs: number; attackedMs: number }
  errors: number
  cores: number
  grownMiB: number
  turnedAway: number
  /** Of the attack, a second. */
  sentMiB: number
}

/** Windows of time without the attack, with it beside, and under it, in turn. */
async function attack({ port, proxy, others }: Victim, name: string, mustClose: boolean, sink: number): Promise<AttackSeen> {
  const [quiet, beside, attacked, cores, sent]: [OthersSeen[], OthersSeen[], OthersSeen[], number[], number[]] = [
    [],
    [],
    [],
    [],
    [],
  ]
  const before = residentMiB(proxy.pid)
  let [errors, grownMiB, turnedAway] = [0, 0, 0]
  const attackOn = async (at: number): Promise<Running> => {
    const script = join(import.meta.dirname, 'abuse/attackers.ts')
    const attackers = start([...hostile, process.execPath, script, String(at), name])
    await until(() => attackers.output().includes('closed'), 'the attack to begin', attackers, 60_000)
    return attackers
  }
  for (let i = 0; i < repetitions; i++) {
    await untilIdle(proxy)
    quiet.push(await work(others))
    const elsewhere = await attackOn(sink)
    beside.push(await work(others))
    await elsewhere.stop()
    const attackers = await attackOn(port)
    const told = (what: 'sent' | 'closed'): number =>
      Number(new RegExp(`${what} (\\d+)(?!.*${what} )`, 's').exec(attackers.output())?.[1] ?? 0)
    const closed = (): number => told('closed')
    const [cpu, started, sentBefore] = [cpuMicroseconds(proxy.pid), performance.now(), told('sent')]
    const seen = await work(others)
    const ms = performance.now() - started
    cores.push((cpuMicroseconds(proxy.pid) - cpu) / (ms * 1000))
    sent.push((told('sent') - sentBefore) / 2 ** 20 / (ms / 1000))
    attacked.push(seen)
    errors += seen.errors
    grownMiB = Math.max(grownMiB, Math.round(residentMiB(proxy.pid) - before))
    if (mustClose) await until(() => closed() > 0, 'an attacker to be turned away', attackers, 60_000)
    turnedAway += closed()
    await attackers.stop()
    expect(proxy.child.exitCode === null, `the proxy ended: ${proxy.output()}`)
  }
  const p99 = (seen: OthersSeen[]): number => median(seen.map(({ p99Ms }) => p99Ms))
  const pastP99 = (seen: OthersSeen[]): number => median(seen.map(({ pastP99Ms }) => pastP99Ms))
  const past = { quietMs: pastP99(quiet), attackedMs: pastP99(attacked) }
  return {
    quietMs: p99(quiet),
    besideMs: p99(beside),
    attackedMs: p99(attacked),
    past,
    errors,
    cores: Math.max(...cores),
    grownMiB,
    turnedAway,
    sentMiB: median(sent),
  }
}

function judge({ quietMs, attackedMs, past, errors, grownMiB }: AttackSeen, told: string): void {
  expect(errors === 0, `the others got ${errors} errors: ${told}`)
  expect(grownMiB < maxGrowthMiB, `the proxy grew too much: ${told}`)
  if (quietMs > quietEnoughMs) return
  const machineMs = Math.max(0, past.attackedMs - past.quietMs)
  expect(attackedMs - machineMs <= maxSlowdown * Math.max(quietMs, unseenMs), `the others wait too long: ${told}`)
}

/** What an attack has left is done with: its streams have ended, and none of its answers comes any more. */
async function untilIdle({ pid, output }: Running): Promise<void> {
  const [idleShare, everyMs, limitMs] = [0.05, 100, 20_000]
  for (const started = performance.now(); ; ) {
    const [cpu, at] = [cpuMicroseconds(pid), performance.now()]
    await sleep(everyMs)
    const share = (cpuMicroseconds(pid) - cpu) / 1000 / (performance.now() - at)
    if (share < idleShare) return
    expect(at - started < limitMs, `the proxy is busy ${limitMs / 1000} s after an attack: ${output()}`)
  }
}

/** What others see in one window of time. */
function work(others: Running): Promise<OthersSeen> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new Error(`the others ended: ${others.output()}`))
    others.child.once('exit', gone)
    others.child.once('message', (seen) => {
      others.child.off('exit', gone)
      resolve(seen as OthersSeen)
    })
    others.child.send(windowMs)
  })
}

async function commandOf(
  name: 'weft' | 'envoy' | 'nginx',
  port: number,
  origins: { attackers: number; others: number },
  folder: string,
): Promise<string[] | undefined> {
  if (name === 'nginx') {
    const nginx = findCommand('nginx')
    const file = join(folder, 'nginx.conf')
    writeFileSync(
      file,
      nginxConfig(port, origins.others, folder).replace(
        'location /',
        `location /attack { proxy_pass http://127.0.0.1:${origins.attackers}; }\n    location /`,
      ),
    )
    return nginx === undefined ? undefined : [nginx, '-c', file, '-p', folder]
  }
  const file = join(folder, `${name}.json`)
  const bootstrap = http(
    { http: port, admin: await freePort() },
    {
      clusters: [cluster('attackers', [origins.attackers]), cluster('others', [origins.others])],
      routes: [
        { match: { path: '/others' }, route: { cluster: 'others' } },
        { match: { prefix: '/' }, route: { cluster: 'attackers' } },
      ],
      manager: { access_log: [] },
    },
  )
  writeFileSync(file, JSON.stringify(bootstrap))
  const flags = ['-c', file, '--concurrency', '1', '-l', 'error']
  if (name === 'weft') return [...weftProxyCommand(), ...flags]
  const envoy = findEnvoy()
  return envoy === undefined ? undefined : [envoy, ...flags, '--disable-hot-restart']
}
