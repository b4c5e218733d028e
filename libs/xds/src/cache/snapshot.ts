import { typeUrls } from '../types.ts'
import { ResourceSet } from './resource-set.ts'

/** All resources that one client sees, by type; streams with the same view share one. */
export type Snapshot = ReadonlyMap<string, ResourceSet>

/** The resources of a type in a snapshot; an empty set when it has none. */
export function resourcesOf(snapshot: Snapshot, typeUrl: string): ResourceSet {
  return snapshot.get(typeUrl) ?? ResourceSet.empty
}

/**
 * What a snapshot refers to and lacks, one sentence each; empty when it is consistent. A client that gets an
 * inconsistent snapshot waits for the missing resource until its fetch time-out.
 */
export function inconsistencies(snapshot: Snapshot): string[] {
  const problems: string[] = []
  const references: [string, string][] = [
    [typeUrls.cluster, typeUrls.endpoint],
    [typeUrls.listener, typeUrls.route],
  ]
  for (const [typeUrl, nextUrl] of references) {
    const next = resourcesOf(snapshot, nextUrl)
    for (const resource of resourcesOf(snapshot, typeUrl)) {
      for (const name of resource.refersTo) {
        if (!next.has(name)) problems.push(`${resource.name} refers to ${name}, which is not in the snapshot`)
      }
    }
  }
  return problems
}
