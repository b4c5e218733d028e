import { writeFileSync } from 'node:fs'
import { WeftError } from '@weft/service/errors'
import { serveLean } from '@weft/service/lean-memory'
import { keepMemoryTrimmed } from './control/free-memory.ts'
import { startThreads } from './control/worker-threads.ts'
import type { WorkerFactory } from './control/workers.ts'
import { type ProxyFlags, parseFlags } from './flags.ts'
import { type ComponentLog, ProxyLog } from './log.ts'
import { fullVersion } from './version.ts'

/** How long requests in flight may take after a signal when `--drain-time-s` says nothing. */
const defaultGraceMs = 5_000

/** What goes on around a proxy that something else runs in its own process. */
export interface Surroundings {
  /** Done once the proxy serves. */
  started?: (reportHealth: ReportHealth) => void
  /** Done at the first SIGTERM, before the proxy stops. */
  beforeStop?: (reportHealth: ReportHealth) => Promise<void>
}

/** Tells the control plane why the workload takes no requests, or with undefined that it does. */
type ReportHealth = (problem: string | undefined) => void

/** The whole life of the command: reads the flags, starts or validates, and ends the process. */
export async function run(argv: readonly string[], around: Surroundings = {}): Promise<void> {
  let flags: ProxyFlags
  let log: ProxyLog
  try {
    const parsed = parseFlags(argv, fullVersion)
    if ('print' in parsed) {
      process.stdout.write(`${parsed.print}\n`)
      return
    }
    flags = parsed
    log = new ProxyLog({
      level: flags.logLevel,
      componentLevels: flags.componentLogLevels,
      ...(flags.logPath === undefined ? {} : { path: flags.logPath }),
      ...(flags.logFormat === undefined ? {} : { format: flags.logFormat }),
    })
  } catch (error) {
    process.stderr.write(`error: ${WeftError.from(error).describe()}\n`)
    process.exitCode = 1
    return
  }
  const main = log.of('main')
  // Worker threads load their code while this thread reads the configuration.
  const threads = flags.mode === 'serve' ? startThreads(flags.concurrency) : undefined
  try {
    const settings = await readConfiguration(flags, log)
    if (flags.mode === 'validate') {
      process.stdout.write(`configuration '${flags.configPath}' OK\n`)
      return
    }
    if (threads !== undefined) await serve(flags, log, settings, threads, around)
  } catch (error) {
    main.critical(`error initializing configuration '${flags.configPath}': ${WeftError.from(error).describe()}`)
    process.exit(1)
  }
}

type Settings = Awaited<ReturnType<typeof readConfiguration>>

async function readConfiguration(flags: ProxyFlags, log: ProxyLog) {
  const started = performance.now()
  const { loadBootstrap } = await import('./bootstrap/load.ts')
  const { readSettings } = await import('./bootstrap/settings.ts')
  const loaded = performance.now()
  const bytes = loadBootstrap(flags.configPath, flags.configYaml, flags.allowUnknownStaticFields, (text) => {
    if (!flags.skipDeprecatedLogs) log.of('config').warn(text)
  })
  const settings = readSettings(bytes, flags)
  if (settings.logFormat !== undefined) log.setFormat(settings.logFormat)
  for (const warning of settings.warnings) log.of('config').warn(warning)
  const times = [started, loaded - started, performance.now() - loaded].map((ms) => ms.toFixed(0))
  log.of('main').debug(`timings: process ${times[0]} ms, modules ${times[1]} ms, configuration ${times[2]} ms`)
  return settings
}

async function serve(
  flags: ProxyFlags,
  log: ProxyLog,
  settings: Settings,
  workerFactory: WorkerFactory,
  { started, beforeStop }: Surroundings,
): Promise<void> {
  const main = log.of('main')
  const { Control } = await import('./control/control.ts')
  const control = new Control({ settings, flags, log, workerFactory })
  let stopping = false
  let closeSinks = async (): Promise<void> => {}
  const stop = (reason: string): void => {
    if (stopping) process.exit(0)
    stopping = true
    main.info(`${reason}: shutting down`)
    const graceMs = flags.given['drain-time-s'] === undefined ? defaultGraceMs : flags.drainTimeMs
    const stopped = control.stop(graceMs).finally(() => closeSinks())
    void Promise.all([stopped, admin?.close()])
      .catch((error: unknown) => main.error(`stop failed: ${WeftError.from(error).describe()}`))
      .finally(() => process.exit(0))
  }
  let preparing = beforeStop
  process.on('SIGTERM', () => {
    const first = preparing
    preparing = undefined
    if (first === undefined) stop('caught SIGTERM')
    else void first((problem) => control.sources.reportHealth(problem)).finally(() => stop('caught SIGTERM'))
  })
  process.on('SIGINT', () => stop('caught SIGINT'))
  process.on('SIGUSR1', () => {
    control.reopenLogs()
  })
  process.on('SIGHUP', () => undefined)
  process.on('unhandledRejection', (error) => main.critical(`unhandled rejection: ${stackOf(error)}`))
  process.on('uncaughtException', (error) => main.critical(`uncaught exception: ${stackOf(error)}`))

  let admin: { url: string; close(): Promise<void> } | undefined
  if (settings.adminAddress !== undefined) {
    const { adminAddress } = settings
    const { startAdmin } = await import('./admin/server.ts')
    const open = async (): Promise<void> => {
      admin = await startAdmin(adminAddress, control, () => stop('POST /quitquitquit'))
      main.info(`admin address: ${admin.url}`)
      if (flags.adminAddressPath !== '') writeFileSync(flags.adminAddressPath, admin.url)
    }
    if (flags.restartEpoch === 0) await open()
    else void openWhenFree(open, () => stopping, main)
  }
  await control.start()
  if (stopping) return
  if (settings.statsSinks.length > 0) {
    const { startStatsSinks } = await import('./stats-sinks/statsd-sink.ts')
    closeSinks = startStatsSinks(control).close
  }
  started?.((problem) => control.sources.reportHealth(problem))
  main.info(`all dependencies initialized, starting workers: live ${performance.now().toFixed(0)} ms after the start`)
  control.workers.started()
  serveLean()
  keepMemoryTrimmed()
}

/** The proxy before this one has the admin address until it ends. */
async function openWhenFree(open: () => Promise<void>, isStopping: () => boolean, log: ComponentLog): Promise<void> {
  let told = ''
  while (!isStopping()) {
    try {
      await open()
      return
    } catch (error) {
      const text = WeftError.from(error).message
      if (text !== told) log.info(`${text}; tried again until the proxy before this one has ended`)
      told = text
      await new Promise<void>((resolve) => setTimeout(resolve, 100).unref())
    }
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
