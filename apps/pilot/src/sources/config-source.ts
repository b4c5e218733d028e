import { isDeepStrictEqual } from 'node:util'
import { type Document, readDocuments } from '@weft/config/document'
import type { ApplyResult } from '@weft/config/pilot-api'
import { hasErrors, type Problem } from '@weft/config/problem'
import { readObject } from '@weft/config/read-object'
import type { Reading } from '@weft/config/reading'
import type { Loaded, LoadedConfig } from '@weft/config/watch/loaded'
import { type ConfigWatch, watchConfig } from '@weft/config/watch/watch-config'
import { WeftError } from '@weft/service/errors'
import { type ConfigProvider, mergeConfigs } from './config-provider.ts'
import { type Edit, editObjects, isBelow } from './object-files.ts'

export interface ConfigSourceOptions {
  /** Watched folders; what is applied is written into the first. */
  folders: readonly string[]
  /** Further sources; what the folders say goes first, then the first of these. */
  providers?: readonly ConfigProvider[]
  onChange: (config: LoadedConfig) => void
  onError: (error: unknown) => void
}

/** What an apply would do, or why it cannot be done. */
export interface Plan {
  problems: Problem[]
  edits: Edit[]
  results: ApplyResult[]
  /** The sender's documents by object, for telling later problems at the sender's own lines. */
  documents: Map<string, Document>
}

/** Where configuration comes from: watched folders, and what is applied, which is written there. */
export class ConfigSource {
  readonly #folders: readonly string[]
  readonly #watch: ConfigWatch
  readonly #providers: readonly ConfigProvider[]
  readonly #stops: (() => void)[]
  #merged: { parts: readonly LoadedConfig[]; config: LoadedConfig } | undefined
  /** Writes go one after the other. */
  #writing: Promise<unknown> = Promise.resolve()

  private constructor(options: ConfigSourceOptions, watch: ConfigWatch) {
    this.#folders = options.folders
    this.#watch = watch
    this.#providers = options.providers ?? []
    this.#stops = this.#providers.map((provider) => provider.subscribe(() => options.onChange(this.current)))
  }

  /** Reads the folders and begins to watch them; `onChange` has the first state when this resolves. */
  static async open(options: ConfigSourceOptions): Promise<ConfigSource> {
    let source: ConfigSource | undefined
    const watch = await watchConfig({ ...options, onChange: () => source && options.onChange(source.current) })
    source = new ConfigSource(options, watch)
    options.onChange(source.current)
    return source
  }

  /** What is in force, of all sources together. */
  get current(): LoadedConfig {
    const parts = [this.#watch.current, ...this.#providers.map(({ current }) => current)]
    if (this.#merged === undefined || this.#merged.parts.some((part, index) => part !== parts[index])) {
      this.#merged = { parts, config: mergeConfigs(parts) }
    }
    return this.#merged.config
  }

  close(): Promise<void> {
    for (const stop of this.#stops) stop()
    return this.#watch.close()
  }

  /** What applying these files would do. Problems of severity error refuse all of it. */
  plan(files: readonly { name: string; content: string }[]): Plan {
    const plan = emptyPlan()
    const seen = new Map<string, string>()
    for (const { name, content } of files) {
      const { documents, problems } = readDocuments(content, name)
      plan.problems.push(...problems)
      for (const document of documents) {
        const reading = readObject(document)
        plan.problems.push(...reading.problems)
        if (reading.type === 'object' || reading.type === 'raw') this.#planOne(reading, seen, plan)
      }
    }
    if (plan.edits.length === 0 && plan.results.length === 0 && !hasErrors(plan.problems)) {
      const file = files[0]?.name ?? '<request>'
      const message = 'there is no object in it that Weft acts on'
      plan.problems.push({ severity: 'error', message, file, line: 1, hint: 'such as a VirtualService with apiVersion and kind' })
    }
    return plan
  }

  #planOne(reading: Exclude<Reading, { type: 'ignored' | 'refused' }>, seen: Map<string, string>, plan: Plan): void {
    const { key } = reading
    const { document } = reading.object
    const place = `${document.file}:${document.line}`
    const earlier = seen.get(key)
    if (earlier !== undefined) {
      const message = `${key} is in this request twice: also at ${earlier}`
      plan.problems.push({ severity: 'error', message, file: document.file, line: document.line, object: key, hint: 'keep one' })
      return
    }
    seen.set(key, place)
    plan.documents.set(key, document)
    const current = this.current.objects.get(key)
    if (current !== undefined && isDeepStrictEqual(current.object.document.value, document.value)) {
      plan.results.push({ object: key, action: 'unchanged', file: current.object.document.file })
      return
    }
    plan.edits.push({ key, text: document.text, current })
    plan.results.push({ object: key, action: current === undefined ? 'created' : 'configured', file: '' })
  }

  /** Carries out a plan without errors, and takes objects away with it; resolves when it is in force. */
  apply(files: readonly { name: string; content: string }[], removed: readonly string[] = []): Promise<Plan> {
    return this.#exclusively(async () => {
      const plan = files.length > 0 || removed.length === 0 ? this.plan(files) : emptyPlan()
      for (const key of removed) plan.edits.push({ key, text: undefined, current: this.current.objects.get(key) })
      if (hasErrors(plan.problems)) return plan
      await this.#write(plan)
      return plan
    })
  }

  /** Takes an object away; throws `not_found` when there is none, and when it is not Pilot's to take away. */
  remove(key: string): Promise<Plan> {
    return this.#exclusively(async () => {
      const current = this.current.objects.get(key)
      if (current === undefined) throw new WeftError('not_found', `there is no ${key}`)
      const { file, line } = current.object.document
      if (!isBelow(this.#folder(), file)) {
        throw new WeftError('failed_precondition', `${key} is not in the folder that Pilot writes to`, {
          where: { file, line },
          hint: 'take it out of this file',
        })
      }
      const plan: Plan = {
        problems: [],
        edits: [{ key, text: undefined, current }],
        results: [{ object: key, action: 'deleted', file }],
        documents: new Map(),
      }
      await this.#write(plan)
      return plan
    })
  }

  async #write(plan: Plan): Promise<void> {
    if (plan.edits.length === 0) return
    const places = await editObjects(this.#folder(), plan.edits)
    for (const result of plan.results) result.file = places.get(result.object) ?? result.file
    const config = await this.#watch.refresh([...new Set(places.values())])
    // What was written and is not in force would be a fault of ours: it was valid a moment ago.
    for (const { key, text } of plan.edits) {
      const loaded: Loaded | undefined = config.objects.get(key)
      if (text !== undefined && (loaded === undefined || !isBelow(this.#folder(), loaded.object.document.file))) {
        throw new WeftError('internal', `${key} was written to ${places.get(key)} but is not in force`)
      }
    }
  }

  #folder(): string {
    const folder = this.#folders[0]
    if (folder !== undefined) return folder
    throw new WeftError('failed_precondition', 'Pilot has no folder to write to', { hint: 'start it with --config-dir' })
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#writing.then(work)
    this.#writing = run.catch(() => undefined)
    return run
  }
}

function emptyPlan(): Plan {
  return { problems: [], edits: [], results: [], documents: new Map() }
}
