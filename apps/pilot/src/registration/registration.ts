import { isIP } from 'node:net'
import { type ConfigObject, keyOf, type TypedObject } from '@weft/config/objects'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { z } from 'zod'
import type { ProxyNode } from '../scope/proxy-node.ts'

/** The annotations by which Istio knows a WorkloadEntry that nobody wrote. */
const groupAnnotation = 'istio.io/autoRegistrationGroup'
const controllerAnnotation = 'istio.io/workloadController'

export interface RegistrationOptions {
  /** The objects in force, by key. */
  objects: () => ReadonlyMap<string, ConfigObject>
  /** Writes objects and takes others away, by key, in one step; resolves when that is in force. Undefined: nothing can be written. */
  write: ((documents: readonly string[], removed: readonly string[]) => Promise<void>) | undefined
  logger: Logger
  /** How long a workload stays registered after its proxy's last stream ended. Default 10 s, Istio's. */
  graceMs?: number
  /** How long those stay that were there at the start and whose proxies do not come back. Default 60 s. */
  returnMs?: number
}

/** A stream of a proxy that is registered, or needs not be. */
export interface Registered {
  /** The proxy says why its workload takes no requests now, or with undefined that it does. */
  health(problem: string | undefined): void
  /** The stream is over. */
  end(): void
}

/** What is to be done with an entry: its text, or undefined to take it away. */
type Change = string | undefined

/**
 * Workloads that nobody writes down: a proxy whose node metadata names a WorkloadGroup (AUTO_REGISTER_GROUP, as Istio's) has a
 * WorkloadEntry made of the group's template and its own address while it is connected. Entries are objects of the configuration
 * like any other, so that they outlive a restart of Pilot.
 */
export class Registration {
  readonly #options: RegistrationOptions
  /** Streams by the key of their entry. */
  readonly #streams = new Map<string, Set<symbol>>()
  readonly #timers = new Map<string, NodeJS.Timeout>()
  #pending = new Map<string, Change>()
  #writing = false
  #closed = false

  constructor(options: RegistrationOptions) {
    this.#options = options
  }

  /** Waits for the proxies of the entries that are there already. */
  start(): void {
    const { objects, write, returnMs = 60_000 } = this.#options
    if (write === undefined) return
    for (const [key, object] of objects()) {
      if (isRegistered(object) && !this.#streams.has(key)) this.#removeLater(key, returnMs)
    }
  }

  /**
   * A proxy's stream began: registers it where it asks for that. Throws `not_found` where there is no such group, `permission_denied`
   * where the group's identity is another, `failed_precondition` where nothing can be written.
   */
  connected(proxy: ProxyNode): Registered {
    if (proxy.autoRegisterGroup === '') return { health: () => undefined, end: () => undefined }
    if (this.#options.write === undefined) {
      throw new WeftError('failed_precondition', 'Pilot has no folder to register workloads in', {
        hint: 'start it with --config-dir',
      })
    }
    const group = this.#options.objects().get(`WorkloadGroup/${proxy.namespace}/${proxy.autoRegisterGroup}`)
    if (group?.kind !== 'WorkloadGroup') {
      throw new WeftError('not_found', `there is no WorkloadGroup ${proxy.namespace}/${proxy.autoRegisterGroup.slice(0, 200)}`, {
        hint: 'apply it, or see AUTO_REGISTER_GROUP of the proxy',
      })
    }
    const account = group.spec.template?.serviceAccount ?? ''
    if (account !== proxy.serviceAccount) {
      throw new WeftError(
        'permission_denied',
        `${keyOf(group)} is of service account '${account}', not '${proxy.serviceAccount}'`,
        {
          hint: "template.serviceAccount and the proxy's SERVICE_ACCOUNT have to agree",
        },
      )
    }
    if (isIP(proxy.ip) === 0) {
      throw new WeftError('invalid_argument', `'${proxy.ip.slice(0, 200)}' of the node id is no address to register`)
    }
    const { key, text } = entryOf(group, proxy)
    // Where the application is asked whether it is ready, it takes nothing until its agent says that it is.
    const before = this.#options.objects().get(key)
    let problem = group.spec.probe === undefined ? undefined : before === undefined ? notYetReady : problemOf(before)
    const stream = Symbol(proxy.id)
    const streams = this.#streams.get(key) ?? new Set()
    this.#streams.set(key, streams.add(stream))
    this.#keep(key)
    this.#change(key, problem === undefined ? text : entryOf(group, proxy, problem).text)
    this.#removeOthersAt(proxy.ip, key)
    return {
      health: (said) => {
        if ((said === undefined) === (problem === undefined)) return
        problem = said
        this.#change(key, said === undefined ? text : entryOf(group, proxy, said).text)
      },
      end: () => {
        streams.delete(stream)
        if (streams.size > 0 || this.#closed) return
        this.#streams.delete(key)
        this.#removeLater(key, this.#options.graceMs ?? 10_000)
      },
    }
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
  }

  /** An address is one workload's: who had it before is gone. */
  #removeOthersAt(address: string, own: string): void {
    for (const [key, object] of this.#options.objects()) {
      if (key === own || !isRegistered(object) || object.spec.address !== address || this.#streams.has(key)) continue
      this.#keep(key)
      this.#change(key, undefined)
    }
  }

  #keep(key: string): void {
    clearTimeout(this.#timers.get(key))
    this.#timers.delete(key)
  }

  #removeLater(key: string, delayMs: number): void {
    const remove = (): void => {
      this.#timers.delete(key)
      this.#change(key, undefined)
    }
    this.#keep(key)
    this.#timers.set(key, setTimeout(remove, delayMs).unref())
  }

  #change(key: string, change: Change): void {
    this.#pending.set(key, change)
    void this.#write()
  }

  /** Writes all that is to be done at once: a thousand proxies may come together. */
  async #write(): Promise<void> {
    if (this.#writing || this.#pending.size === 0 || this.#closed) return
    this.#writing = true
    const changes = this.#pending
    this.#pending = new Map()
    const { objects, write, logger } = this.#options
    const documents = [...changes.values()].filter((change) => change !== undefined)
    // Those that somebody else took away meanwhile are gone.
    const removed = [...changes].filter(([key, change]) => change === undefined && objects().has(key)).map(([key]) => key)
    try {
      if (documents.length + removed.length > 0) await write?.(documents, removed)
    } catch (err) {
      logger.error({ err }, 'workloads could not be registered')
      // What was asked since goes first.
      this.#pending = new Map([...changes, ...this.#pending])
      await new Promise((resolve) => setTimeout(resolve, 1_000).unref())
    }
    this.#writing = false
    await this.#write()
  }
}

const notYetReady = 'its agent has not said yet that the application is ready'

const statusSchema = z.looseObject({
  status: z.looseObject({
    conditions: z.array(z.looseObject({ type: z.string(), status: z.string(), message: z.string().default('') })),
  }),
})

/** Why an entry takes no requests, as its status says. */
function problemOf({ document }: ConfigObject): string | undefined {
  const conditions = statusSchema.safeParse(document.value).data?.status.conditions ?? []
  return conditions.find(({ type, status }) => type === 'Healthy' && status === 'False')?.message
}

function isRegistered(object: ConfigObject): object is TypedObject<'WorkloadEntry'> & ConfigObject {
  return object.kind === 'WorkloadEntry' && object.metadata.annotations[groupAnnotation] !== undefined
}

/** The WorkloadEntry of a proxy, named as Istio names it; what the proxy knows of its place goes before the template. */
function entryOf(group: TypedObject<'WorkloadGroup'>, proxy: ProxyNode, problem?: string): { key: string; text: string } {
  const { metadata, spec } = group
  const { template } = spec
  const { region, zone, subZone } = proxy.locality
  const locality = [region, zone, subZone].join('/').replace(/\/+$/, '') || template?.locality || ''
  const network = proxy.network || template?.network || ''
  // Not those of the proxy: it might name itself an endpoint of what it is not.
  const labels = { ...spec.metadata?.labels, ...template?.labels }
  const name = `${metadata.name}-${proxy.ip.replaceAll(':', '-').replace(/^-|-$/g, '0')}`
  const entry = {
    apiVersion: group.apiVersion,
    kind: 'WorkloadEntry',
    metadata: {
      name,
      namespace: metadata.namespace,
      labels: { ...spec.metadata?.labels },
      annotations: {
        ...spec.metadata?.annotations,
        [groupAnnotation]: metadata.name,
        [controllerAnnotation]: 'pilot',
      },
    },
    spec: {
      address: proxy.ip,
      ports: template?.ports ?? {},
      labels,
      ...(template?.weight ? { weight: template.weight } : {}),
      ...(locality === '' ? {} : { locality }),
      ...(network === '' ? {} : { network }),
      serviceAccount: proxy.serviceAccount,
    },
    ...(problem === undefined
      ? {}
      : { status: { conditions: [{ type: 'Healthy', status: 'False', message: problem.slice(0, 1_000) }] } }),
  }
  return { key: `WorkloadEntry/${metadata.namespace}/${name}`, text: JSON.stringify(entry, null, 2) }
}
