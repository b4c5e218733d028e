import { Server, ServerCredentials } from '@grpc/grpc-js'
import { ResourceSet } from '@weft/xds/cache/resource-set'
import { createXdsService, type XdsClient } from '@weft/xds/server/server'
import { typeUrls } from '@weft/xds/types'
import { type ChurnState, type Kind, kinds, resourcesOfKind } from './resources.ts'

/** A control plane whose every kind of resource changes when it is told to. */
export interface ControlPlane {
  readonly port: number
  /** Changes of each kind that the proxy has accepted. */
  readonly accepted: ReadonlyMap<Kind, number>
  readonly refusals: readonly string[]
  /** Makes the next version of a kind; resolves when the proxy has answered it. */
  change(kind: Kind): Promise<void>
  close(): void
}

const answerMs = 20_000

export async function startControlPlane(state: ChurnState): Promise<ControlPlane> {
  const sets = new Map(kinds.map((kind) => [typeUrls[kind], ResourceSet.of(resourcesOfKind(kind, state))]))
  const accepted = new Map<Kind, number>(kinds.map((kind) => [kind, 0]))
  const refusals: string[] = []
  const waiting = new Map<string, () => void>()
  let client: XdsClient | undefined
  const answered = (typeUrl: string): void => {
    const next = waiting.get(typeUrl)
    waiting.delete(typeUrl)
    next?.()
  }
  const service = createXdsService({
    connect(introduced) {
      client = introduced
      introduced.stream.update(new Map(sets))
      return {
        accepted: (typeUrl) => answered(typeUrl),
        refused(typeUrl, _nonce, refusal) {
          refusals.push(refusal.message)
          answered(typeUrl)
        },
      }
    },
  })
  const server = new Server()
  server.addService(service.definition, service.implementation)
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  return {
    port,
    accepted,
    refusals,
    async change(kind) {
      const typeUrl = typeUrls[kind]
      const refusedBefore = refusals.length
      state.versions[kind]++
      sets.set(typeUrl, ResourceSet.of(resourcesOfKind(kind, state)))
      const done = new Promise<void>((resolve, reject) => {
        const patience = setTimeout(
          () => reject(new Error(`no answer to ${kind} ${state.versions[kind]} within ${answerMs} ms`)),
          answerMs,
        )
        waiting.set(typeUrl, () => {
          clearTimeout(patience)
          resolve()
        })
      })
      client?.stream.update(new Map(sets))
      await done
      if (refusals.length === refusedBefore) accepted.set(kind, (accepted.get(kind) ?? 0) + 1)
    },
    close() {
      service.close()
      server.forceShutdown()
    },
  }
}
