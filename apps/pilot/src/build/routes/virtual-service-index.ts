import type { TypedObject } from '@weft/config/objects'
import { bySpecificity, hostMatches } from '../../model/host.ts'

type VirtualServiceObject = TypedObject<'VirtualService'>

/** VirtualServices by the hosts they speak about; for one host the most specific, of equal ones the first in order. */
export class VirtualServiceIndex {
  readonly #exact = new Map<string, VirtualServiceObject>()
  readonly #wildcards: { host: string; object: VirtualServiceObject }[] = []

  /** @param objects in order of precedence */
  constructor(objects: readonly VirtualServiceObject[]) {
    for (const object of objects) {
      for (const host of object.spec.hosts) {
        if (host.startsWith('*')) this.#wildcards.push({ host, object })
        else if (!this.#exact.has(host)) this.#exact.set(host, object)
      }
    }
    this.#wildcards.sort((a, b) => bySpecificity(a.host, b.host))
  }

  /** The VirtualService that speaks for a host. */
  for(host: string): VirtualServiceObject | undefined {
    return this.#exact.get(host) ?? this.#wildcards.find((entry) => hostMatches(entry.host, host))?.object
  }

  /** Every host some VirtualService names, with the one that speaks for it. */
  *hosts(): Iterable<[string, VirtualServiceObject]> {
    yield* this.#exact
    const seen = new Set<string>()
    for (const { host, object } of this.#wildcards) {
      if (seen.has(host)) continue
      seen.add(host)
      yield [host, object]
    }
  }
}
