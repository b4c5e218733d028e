import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { WeftError } from '@weft/service/errors'
import { run } from '../run.ts'
import { followReadiness } from './app-readiness.ts'
import { podBootstrap } from './bootstrap.ts'
import { applicationMetrics } from './metrics.ts'
import { readPodLabels } from './pod-labels.ts'
import { AppProbes } from './probes.ts'
import { healthPort, metricsPort, readAgentSettings } from './settings.ts'
import { startStatusServer } from './status-server.ts'

const defaultStatusPort = 15_020

/**
 * The commands of an injected container, in the words of Istio's: `proxy sidecar|router`, `wait`, `request METHOD PATH`. What went
 * wrong is told in one line, and ends the process with code 1.
 */
export async function runAgent(argv: readonly string[]): Promise<void> {
  try {
    if (argv[0] === 'wait') await waitUntilReady(argv.slice(1))
    else if (argv[0] === 'request') await sendRequest(argv.slice(1))
    else await runPodProxy(argv)
  } catch (thrown) {
    process.stderr.write(`error: ${WeftError.from(thrown).describe()}\n`)
    process.exit(1)
  }
}

/** The proxy of a pod, in this process: its bootstrap is made of the pod's environment, and the status server stands beside it. */
async function runPodProxy(argv: readonly string[]): Promise<void> {
  const settings = readAgentSettings(argv, process.env)
  const admin = `http://127.0.0.1:${settings.adminPort}`
  const probes = new AppProbes(settings.probers, settings.probedHost)
  const metrics = settings.role === 'sidecar' ? applicationMetrics(settings.metrics) : []
  const ports = [...new Set([settings.statusPort, healthPort, metricsPort])]
  const bootstrap = podBootstrap(settings, await readPodLabels())
  await mkdir(settings.configPath, { recursive: true })
  const file = join(settings.configPath, 'envoy-rev.json')
  await writeFile(file, JSON.stringify(bootstrap, null, 2), { mode: 0o600 })
  await startStatusServer({ ports, admin, probes, applicationMetrics: metrics })
  const override = settings.bootstrapOverride === undefined ? undefined : await readFile(settings.bootstrapOverride, 'utf8')
  const flags = [
    ...['-c', file],
    ...(override === undefined ? [] : ['--config-yaml', override]),
    ...['--log-level', settings.proxyLogLevel],
    ...(settings.componentLogLevel === '' ? [] : ['--component-log-level', settings.componentLogLevel]),
    ...(settings.concurrency === undefined ? [] : ['--concurrency', String(settings.concurrency)]),
    ...['--drain-time-s', String(Math.ceil(settings.drainMs / 1_000))],
  ]
  const { readinessProbe } = settings
  let stopLooking = (): void => undefined
  await run(flags, {
    started: (reportHealth) => {
      if (readinessProbe !== undefined) stopLooking = followReadiness(readinessProbe, reportHealth)
    },
    // Endpoints lists take a moment to forget a pod that is stopped; one that registered itself says so.
    beforeStop: async (reportHealth) => {
      stopLooking()
      if (typeof settings.metadata['AUTO_REGISTER_GROUP'] === 'string') reportHealth('the proxy is told to stop')
      await fetch(`${admin}/drain_listeners?graceful&skip_exit`, { method: 'POST' }).catch(() => undefined)
      await delay(settings.terminationDrainMs)
    },
  })
}

/** `wait [--url URL] [--timeoutSeconds N]`: returns when the proxy is ready; holds the application's start until then. */
async function waitUntilReady(flags: readonly string[]): Promise<void> {
  const flag = (name: string, otherwise: string): string => {
    const joined = flags.find((each) => each.startsWith(`--${name}=`))
    return (
      joined?.slice(name.length + 3) ??
      (flags.includes(`--${name}`) ? flags[flags.indexOf(`--${name}`) + 1] : undefined) ??
      otherwise
    )
  }
  const url = flag('url', `http://localhost:${healthPort}/healthz/ready`)
  const seconds = Number(flag('timeoutSeconds', '60'))
  const end = Date.now() + seconds * 1_000
  for (;;) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.ok === true) return
    if (!(Date.now() < end))
      throw new WeftError('deadline_exceeded', `the proxy is not ready after ${seconds} s`, { where: { path: url } })
    await delay(200)
  }
}

/** `request [--debug-port=N] METHOD PATH`: asks the status server of the pod. */
async function sendRequest(argv: readonly string[]): Promise<void> {
  const [method = '', path = ''] = argv.filter((argument) => !argument.startsWith('--'))
  const port = argv.find((argument) => argument.startsWith('--debug-port='))?.slice('--debug-port='.length)
  if (!/^(GET|POST)$/.test(method) || path === '') {
    throw new WeftError('invalid_argument', 'request wants a method and a path', { hint: 'such as: request POST drain' })
  }
  const url = `http://127.0.0.1:${port ?? defaultStatusPort}/${path.replace(/^\//, '')}`
  const answer = await fetch(url, { method, signal: AbortSignal.timeout(10_000) })
  process.stdout.write(await answer.text())
  if (!answer.ok) throw new WeftError('failed_precondition', `${method} ${url}: ${answer.status}`)
}
