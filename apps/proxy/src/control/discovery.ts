import type { ConfigSource } from '@weft/contracts/envoy/config/core/v3/config_source'
import { WeftError } from '@weft/service/errors'
import type { ResourceHandler, ResourceResponse } from '@weft/xds/client/subscription'
import { typeUrls } from '@weft/xds/types'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import type { ResourceKind } from '../threads.ts'
import { Deferred } from './deferred.ts'
import { FetchStats } from './fetch-stats.ts'
import { type CheckedResource, checkedResource, sameBytes } from './resource.ts'
import { type ConfigSources, initialFetchTimeoutMs } from './sources.ts'

/** A resource that was refused, as `/config_dump` shows it. */
export interface RefusedResource {
  name: string
  bytes: Uint8Array
  reason: string
  at: Date
}

/** What takes the resources of one kind (clusters, listeners). */
export interface ResourceTaker {
  /** The bytes last taken for a name. */
  bytesOf(name: string): Uint8Array | undefined
  isStatic(name: string): boolean
  /** Names of the dynamic ones. */
  names(): string[]
  /** Gives the problems that came up in opening it. */
  add(resource: CheckedResource): Promise<string[]>
  remove(name: string): void
}

/**
 * CDS or LDS: a whole set of resources from one source, each checked alone. The good ones proceed and the bad are told, unless one
 * of them breaks the API itself: then nothing of the answer is taken.
 */
export class Discovery {
  readonly refused = new Map<string, RefusedResource>()
  /** The first answer came, or its time is over. */
  readonly answered: Promise<void>
  version = ''

  constructor(options: {
    kind: ResourceKind & ('cluster' | 'listener')
    source: ConfigSource
    sources: ConfigSources
    taker: ResourceTaker
    stats: Stats
    rejectUnknown: boolean
    warn(text: string): void
    log: ComponentLog
  }) {
    const { kind, taker, log } = options
    const word = kind === 'cluster' ? 'CDS' : 'LDS'
    const prefix = kind === 'cluster' ? 'cluster_manager.cds' : 'listener_manager.lds'
    const stats = new FetchStats(options.stats, prefix, options.source)
    if (kind === 'cluster') {
      options.stats.counter(`${prefix}.config_reload`)
      options.stats.gauge(`${prefix}.config_reload_time_ms`)
    }
    const take = async (response: ResourceResponse): Promise<string[]> => {
      const problems: string[] = []
      const seen = new Set<string>()
      const checked: CheckedResource[] = []
      const refuse = ({ name, bytes }: Pick<CheckedResource, 'name' | 'bytes'>, error: unknown): void => {
        const reason = WeftError.from(error).describe()
        problems.push(reason)
        this.refused.set(name, { name, bytes, reason, at: new Date() })
      }
      let broken = false
      for (const source of response.resources) {
        const { name, version, bytes } = source
        if (seen.has(name)) {
          problems.push(`duplicate ${kind} ${name} found`)
          continue
        }
        seen.add(name)
        if (taker.isStatic(name)) {
          log.debug(`${word}: ${kind} ${name} is static and stays as it is`)
          continue
        }
        const before = taker.bytesOf(name)
        const known = before !== undefined && sameBytes(before, bytes) && !this.refused.has(name)
        const onBroken = (): void => {
          broken = true
        }
        try {
          const { rejectUnknown, warn } = options
          checked.push(
            known
              ? { kind, name, version, bytes, secrets: [], routes: [], extensions: [] }
              : checkedResource(kind, name, version, bytes, { rejectUnknown, warn, onBroken }),
          )
        } catch (error) {
          // What breaks the API itself is no resource that could be shown.
          if (broken) problems.push(WeftError.from(error).describe())
          else refuse(source, error)
        }
      }
      // As Envoy: an answer with a resource that breaks the API is not taken at all; of one with resources that cannot be
      // had here, the others are.
      if (broken) return problems
      let changed = false
      for (const resource of checked) {
        const before = taker.bytesOf(resource.name)
        try {
          const opening = await taker.add(resource)
          if (opening.length > 0) throw new WeftError('unavailable', opening.join('; '))
          this.refused.delete(resource.name)
          if (before === undefined || !sameBytes(before, resource.bytes)) changed = true
        } catch (error) {
          refuse(resource, error)
        }
      }
      let applied = changed
      const gone = response.whole ? taker.names().filter((name) => !seen.has(name)) : response.removed
      for (const name of gone) {
        this.refused.delete(name)
        if (taker.isStatic(name)) continue
        if (taker.bytesOf(name) !== undefined) applied = true
        taker.remove(name)
      }
      if (response.whole) for (const name of this.refused.keys()) if (!seen.has(name)) this.refused.delete(name)
      // The version shown is the last that changed something; listeners count one of which a part was taken.
      if (applied && (problems.length === 0 || kind === 'listener')) this.version = response.version
      if (problems.length > 0) return problems
      if (changed && kind === 'cluster') {
        options.stats.counter(`${prefix}.config_reload`).inc()
        options.stats.gauge(`${prefix}.config_reload_time_ms`).set(Date.now())
      }
      return problems
    }
    const came = new Deferred()
    this.answered = came.within(initialFetchTimeoutMs(options.source)).then((inTime) => {
      if (!inTime) stats.timedOut()
    })
    const handler: ResourceHandler = {
      receive: async (response) => {
        const problems = await take(response)
        stats.answered(response.version, problems)
        if (problems.length > 0) log.warn(`${word}: ${problems.length} resources rejected: ${problems.join('; ')}`)
        else log.info(`${word}: ${response.resources.length} ${kind}s, version '${response.version}'`)
        came.resolve()
        return problems
      },
      disconnected: (reason) => {
        stats.failed()
        log.debug(`${word} cannot be fetched now: ${reason}`)
      },
      unreadable: (reason) => {
        stats.answered('', [reason])
        came.resolve()
      },
    }
    const { sources, source } = options
    sources.watchAll(source, kind === 'cluster' ? typeUrls.cluster : typeUrls.listener, handler, { stats: options.stats, prefix })
  }
}
