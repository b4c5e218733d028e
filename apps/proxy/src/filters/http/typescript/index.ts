import { TypeScript, TypeScriptPerRoute } from '@weft/contracts/weft/filters/http/typescript/v1/typescript'
import { WeftError } from '@weft/service/errors'
import { readDataSource } from '../../../plan/data-source.ts'
import { durationMs } from '../../../plan/duration.ts'
import type { CompiledHttpFilter, FilterContext, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { type CodePlace, checkCode, type Definition, loadDefinition, placeName, watchCode } from './module-source.ts'
import { type FilterSettings, TypeScriptRun } from './run.ts'

const namespace = 'weft.filters.http.typescript.v1.'

/** `weft.filters.http.typescript`: a filter that is a TypeScript module (docs/proxy-filters.md). */
export const typescript: HttpFilterKind = {
  types: [`${namespace}TypeScript`],
  routeTypes: [`${namespace}TypeScriptPerRoute`],
  compile(bytes, context) {
    const source = TypeScript.decode(bytes)
    const place = placeOf(source, context)
    try {
      checkCode(place)
    } catch (error) {
      context.fail('code', WeftError.from(error).message)
    }
    const prefix = source.statPrefix === '' ? '' : `${source.statPrefix}.`
    const counter = (name: string) => context.stats.counter(`${context.statPrefix}typescript.${prefix}${name}`)
    const settings: FilterSettings = {
      name: context.name,
      config: source.config ?? {},
      failureModeAllow: source.failureModeAllow,
      timeoutMs: durationMs(source.timeout, 1_000),
      maxBodyBytes: source.maxBodyBytes ?? null,
      counters: { replied: counter('replied'), failed: counter('failed'), timedOut: counter('timed_out') },
      log: (level, message) => context.services?.log(level, `filter ${context.name}: ${message}`),
    }
    if (context.services === null) return { start: () => null }
    return new TypeScriptFilter(place, settings, { loaded: counter('loaded'), loadFailed: counter('load_failed') })
  },
  compileRouteConfig(bytes, _type, context) {
    const { override } = TypeScriptPerRoute.decode(bytes)
    if (override === undefined) return context.fail('', 'one of disabled and config is needed')
    return override.$case === 'disabled' ? 'off' : { config: override.value ?? {} }
  },
}

function placeOf({ code }: TypeScript, context: FilterContext): CodePlace {
  if (code?.specifier?.$case === 'filename') return { type: 'file', path: code.specifier.value }
  return { type: 'inline', code: readDataSource(code, `${context.path}.code`).toString() }
}

/** The module that is loaded, and the one that takes its place when the file changes. */
class TypeScriptFilter implements CompiledHttpFilter {
  private readonly place: CodePlace
  private readonly settings: FilterSettings
  private readonly counters: { loaded: { inc(): void }; loadFailed: { inc(): void } }
  private readonly watch: { close(): void } | null
  private definition: Definition | null = null
  /** Requests that came before the module was there wait for this. */
  private loading: Promise<void>

  constructor(place: CodePlace, settings: FilterSettings, counters: TypeScriptFilter['counters']) {
    this.place = place
    this.settings = settings
    this.counters = counters
    this.loading = this.load()
    this.watch = place.type === 'file' ? watchCode(place.path, () => (this.loading = this.loading.then(() => this.load()))) : null
  }

  private async load(): Promise<void> {
    try {
      this.definition = await loadDefinition(this.place)
      this.counters.loaded.inc()
      this.settings.log('info', `${placeName(this.place)} is loaded`)
    } catch (error) {
      this.counters.loadFailed.inc()
      const rest = this.definition === null ? '' : '; what was loaded before goes on'
      this.settings.log('error', `${placeName(this.place)} cannot be loaded: ${String(error)}${rest}`)
    }
  }

  start(_stream: HttpStream, routeConfig: unknown): HttpFilter {
    const own = routeConfig !== null && typeof routeConfig === 'object' && 'config' in routeConfig
    return new TypeScriptRun(
      this.definition ?? this.afterLoading(),
      this.settings,
      own ? routeConfig.config : this.settings.config,
    )
  }

  private async afterLoading(): Promise<Definition> {
    await this.loading
    if (this.definition === null) throw new Error('it is not loaded')
    return this.definition
  }

  close(): void {
    this.watch?.close()
  }
}
