/** `npm run e2e -- NAME…`: whole scenarios with real processes; the exit code tells. `all` runs every one. */
import { endingSignals, onSignals } from '@weft/service/ending-signals'
import { exitCodeOf } from '../processes.ts'
import { CheckFailed, runScenario, type Scenario } from './scenario.ts'

type Load = () => Promise<(scenario: Scenario) => Promise<void>>

const scenarios: Record<string, Load> = {
  local: () => import('./local.ts').then((module) => module.localScenario),
  'bad-input': () => import('./bad-input.ts').then((module) => module.badInputScenario),
  'end-user': () => import('./end-user.ts').then((module) => module.endUserScenario),
  envoy: () => import('./envoy.ts').then((module) => module.envoyScenario),
  churn: () => import('./churn.ts').then((module) => module.churnScenario),
  takeover: () => import('./takeover.ts').then((module) => module.takeoverScenario),
  rotation: () => import('./rotation.ts').then((module) => module.rotationScenario),
  faults: () => import('./faults.ts').then((module) => module.faultsScenario),
  abuse: () => import('./abuse.ts').then((module) => module.abuseScenario),
  grpc: () => import('./grpc.ts').then((module) => module.grpcScenario),
  h2spec: () => import('./h2spec.ts').then((module) => module.h2specScenario),
  kubernetes: () => import('./kubernetes.ts').then((module) => module.kubernetesScenario),
  install: () => import('./install.ts').then((module) => module.installScenario),
  istiod: () => import('./istiod.ts').then((module) => module.istiodScenario),
  consul: () => import('./consul.ts').then((module) => module.consulScenario),
  nomad: () => import('./nomad.ts').then((module) => module.nomadScenario),
  registries: () => import('./registries.ts').then((module) => module.registriesScenario),
  intercept: () => import('./intercept.ts').then((module) => module.interceptScenario),
  compose: () => import('./compose.ts').then((module) => module.composeScenario),
  tracing: () => import('./tracing.ts').then((module) => module.tracingScenario),
  parity: () => import('./parity.ts').then((module) => module.parityScenario),
  random: () => import('./random.ts').then((module) => module.randomScenario),
}

const asked = process.argv.slice(2)
const names = asked.includes('all') ? Object.keys(scenarios) : asked
const unknown = names.filter((name) => !(name in scenarios))
if (names.length === 0 || unknown.length > 0) {
  console.error(
    `e2e: ${unknown.length > 0 ? `no scenario '${unknown.join("', '")}'` : 'name a scenario'}; there are: ${Object.keys(scenarios).join(', ')}, all`,
  )
  process.exitCode = 2
} else {
  let failed = 0
  let signalled: NodeJS.Signals | undefined
  const interrupted = new Promise<never>((_, reject) => {
    onSignals(
      endingSignals,
      (signal) => {
        signalled = signal
        console.log(`  ${signal}: ending what was started`)
        reject(new CheckFailed(signal))
      },
      // This one does not wait for what is being ended.
      (signal) => process.exit(exitCodeOf(signal)),
    )
  })
  interrupted.catch(() => undefined)
  for (const name of names) {
    const load = scenarios[name]
    if (load === undefined || signalled !== undefined) continue
    failed += (await runScenario(name, await load(), interrupted)).failed
  }
  process.exit(signalled === undefined ? Math.min(failed, 1) : exitCodeOf(signalled))
}
