import type { RawObject } from '@weft/config/objects'
import { describeProblem, type Problem } from '@weft/config/problem'
import { watchConfig } from '@weft/config/watch/watch-config'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { Counter, Gauge, type Registry } from '@weft/service/metrics'
import { type AdapterFiles, watchAdapterFiles } from '../adapters/adapter-files.ts'
import { adapterCatalogue } from '../adapters/catalogue.ts'
import type { Plan } from '../dispatch/plan.ts'
import { type Compiled, compileConfig } from './compile.ts'
import type { HandlerTable } from './handler-table.ts'

export interface MixerConfigOptions {
  /** The operator's folders, then those with defaults, which the earlier ones override. */
  configDirs: readonly string[]
  defaultDirs: readonly string[]
  adapterDir: string | undefined
  handlers: HandlerTable
  logger: Logger
  registry: Registry
}

/** One object as `/v1/config` lists it. */
interface ObjectStatus {
  kind: string
  namespace: string
  name: string
  file: string
  line: number
  /** `kept`: what stands there is refused, and what stood there before is in force. */
  status: 'accepted' | 'refused' | 'kept'
  problems: string[]
}

interface ConfigStatus {
  objects: ObjectStatus[]
  /** What belongs to no object: broken YAML, unreadable files, adapter files that do not load. */
  problems: string[]
  adapters: string[]
  /** Handlers that are open but cannot work at present, with the reason. */
  handlers: Record<string, string>
}

/** Mixer's configuration: the plan in force, and what there is to say about it. */
export interface MixerConfig {
  readonly plan: Plan
  status(): ConfigStatus
  /** Reads everything now; resolves when it is in force. */
  refresh(): Promise<void>
  close(): Promise<void>
}

/** Reads the configuration and follows its changes. A new plan takes the place of the old in one assignment. */
export async function startMixerConfig(options: MixerConfigOptions): Promise<MixerConfig> {
  const { configDirs, defaultDirs, adapterDir, handlers, logger, registry } = options
  const metrics = configMetrics(registry)
  const lastGood = new Map<string, RawObject>()
  let compiled: Compiled | undefined
  let kept = new Set<string>()
  let problems: readonly Problem[] = []
  let told = new Set<string>()
  let work: Promise<void> = Promise.resolve()

  const recompile = (): Promise<void> => {
    const run = work.then(compile)
    work = run.catch((error: unknown) =>
      logger.error({ err: error }, 'configuration cannot be compiled; the one before stays in force'),
    )
    return work
  }
  const files: AdapterFiles | undefined =
    adapterDir === undefined ? undefined : await watchAdapterFiles({ dir: adapterDir, logger, onChange: () => void recompile() })
  const watched = await watchConfig({
    folders: [...configDirs, ...defaultDirs],
    groups: ['config.istio.io'],
    onChange: recompile,
    onError: (error) => logger.error({ err: error }, 'configuration cannot be read'),
  })

  const compile = async (): Promise<void> => {
    const loaded = watched.current
    const raws = new Map<string, RawObject>()
    for (const [key, { type, object }] of loaded.objects) if (type === 'raw') raws.set(key, object)
    const adapters = adapterCatalogue(files?.adapters)
    let next = await compileConfig(raws.values(), adapters, handlers)
    const substitutes = [...next.refused].filter((key) => {
      const good = lastGood.get(key)
      return good !== undefined && good.version !== raws.get(key)?.version
    })
    const found = next.problems
    if (substitutes.length > 0) {
      const mixed = new Map(raws)
      for (const key of substitutes) {
        const good = lastGood.get(key)
        if (good !== undefined) mixed.set(key, good)
      }
      await next.abandon()
      next = await compileConfig(mixed.values(), adapters, handlers)
    }
    compiled = next
    next.commit()
    kept = new Set(substitutes.filter((key) => !next.refused.has(key)))
    for (const { key, raw } of next.accepted) lastGood.set(key, raw)
    for (const key of lastGood.keys()) if (!raws.has(key)) lastGood.delete(key)
    problems = [...loaded.problems.filter((problem) => !isOverriddenDefault(problem, defaultDirs)), ...found]
    told = tell(problems, told, logger)
    metrics.objects.set({ status: 'accepted' }, next.accepted.length)
    metrics.objects.set({ status: 'refused' }, next.refused.size + kept.size)
    metrics.errors.set(problems.filter(({ severity }) => severity === 'error').length)
    metrics.loads.inc()
  }
  await recompile()
  if (compiled === undefined) throw new WeftError('internal', 'the configuration cannot be compiled')

  return {
    get plan() {
      if (compiled === undefined) throw new WeftError('internal', 'there is no plan')
      return compiled.plan
    },
    status: () => statusOf(compiled, kept, problems, watched.current.objects.values(), files, handlers),
    async refresh() {
      await files?.refresh()
      await watched.refresh()
      await recompile()
    },
    async close() {
      files?.close()
      await watched.close()
      await work
      await handlers.close()
    },
  }
}

function configMetrics(registry: Registry) {
  const registers = [registry]
  return {
    objects: new Gauge({
      name: 'mixer_config_objects',
      help: 'Configuration objects by status',
      labelNames: ['status'],
      registers,
    }),
    errors: new Gauge({ name: 'mixer_config_errors', help: 'Errors in the configuration as it stands', registers }),
    loads: new Counter({ name: 'mixer_config_loads_total', help: 'Configurations compiled', registers }),
  }
}

/** That the operator's object takes the place of a default is what defaults are for. */
function isOverriddenDefault({ severity, file }: Problem, defaultDirs: readonly string[]): boolean {
  return severity !== 'error' && defaultDirs.some((dir) => file.startsWith(dir))
}

/** Logs what is new among the problems. */
function tell(problems: readonly Problem[], before: ReadonlySet<string>, logger: Logger): Set<string> {
  const now = new Set<string>()
  for (const problem of problems) {
    const text = describeProblem(problem)
    now.add(text)
    if (before.has(text)) continue
    if (problem.severity === 'error') logger.error(text)
    else if (problem.severity === 'warning') logger.warn(text)
    else logger.debug(text)
  }
  return now
}

function statusOf(
  compiled: Compiled | undefined,
  kept: ReadonlySet<string>,
  problems: readonly Problem[],
  loaded: Iterable<{
    type: string
    key: string
    object: { kind: string; metadata: { name: string; namespace: string }; document: { file: string; line: number } }
  }>,
  files: AdapterFiles | undefined,
  handlers: HandlerTable,
): ConfigStatus {
  const accepted = new Set(compiled?.accepted.map(({ key }) => key))
  const objects: ObjectStatus[] = []
  const about = (key: string): string[] => problems.filter(({ object }) => object === key).map(describeProblem)
  for (const { type, key, object } of loaded) {
    if (type !== 'raw' || !(accepted.has(key) || compiled?.refused.has(key) || kept.has(key))) continue
    const { kind, metadata, document } = object
    const status = kept.has(key) ? 'kept' : accepted.has(key) ? 'accepted' : 'refused'
    objects.push({
      kind,
      namespace: metadata.namespace,
      name: metadata.name,
      file: document.file,
      line: document.line,
      status,
      problems: about(key),
    })
  }
  const listed = new Set(objects.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`))
  const others = problems.filter(({ object, severity }) => severity !== 'notice' && (object === undefined || !listed.has(object)))
  return {
    objects,
    problems: [
      ...others.map(describeProblem),
      ...(files?.problems ?? []).map(({ file, line, message }) => `${file}${line === undefined ? '' : `:${line}`}: ${message}`),
    ],
    adapters: adapterCatalogue(files?.adapters).names(),
    handlers: Object.fromEntries([...handlers.problems()].map(([name, error]) => [name, error.describe()])),
  }
}
