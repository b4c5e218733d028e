import type { ConfigObject, RawObject } from '@weft/config/objects'
import type { Credential } from '../credentials/credential.ts'
import type { Registry } from '../registries/registry.ts'
import { buildSnapshot } from './build-snapshot.ts'
import { diffSnapshots } from './diff-snapshots.ts'
import type { MeshSettings } from './mesh-settings.ts'
import type { Snapshot, SnapshotSource, SnapshotUpdate } from './snapshot.ts'

/** Makes a snapshot of each new state of the configuration and the registries, and tells those who follow. */
export class Snapshots implements SnapshotSource {
  current: Snapshot
  readonly #registries: readonly Registry[]
  readonly #listeners = new Set<(update: SnapshotUpdate) => void>()
  #objects: ReadonlyMap<string, ConfigObject> = new Map()
  #rawObjects: ReadonlyMap<string, RawObject> = new Map()
  #credentials: ReadonlyMap<string, Credential> = new Map()
  #mesh: MeshSettings

  constructor(mesh: MeshSettings, registries: readonly Registry[]) {
    this.#mesh = mesh
    this.#registries = registries
    this.current = buildSnapshot({ mesh, objects: this.#objects, registries: [] })
  }

  /** The configuration objects in force from now on, by key. */
  setObjects(objects: ReadonlyMap<string, ConfigObject>): void {
    this.#objects = objects
  }

  /** The objects handed on unread that are in force from now on, by key. */
  setRawObjects(objects: ReadonlyMap<string, RawObject>): void {
    this.#rawObjects = objects
  }

  /** The credentials in force from now on, by credentialKey. */
  setCredentials(credentials: ReadonlyMap<string, Credential>): void {
    this.#credentials = credentials
  }

  setMesh(mesh: MeshSettings): void {
    this.#mesh = mesh
  }

  /** Builds the next snapshot; followers are told unless nothing that matters changed. */
  rebuild(): Snapshot {
    const changedAtMs = performance.now()
    const before = this.current
    const registries = this.#registries.map(({ contents }) => contents)
    const inputs = {
      mesh: this.#mesh,
      objects: this.#objects,
      rawObjects: this.#rawObjects,
      registries,
      credentials: this.#credentials,
    }
    const next = buildSnapshot(inputs, before)
    const changes = diffSnapshots(before, next)
    if (changes.length === 0) {
      // Only lines or comments moved: the same version, with the objects where they stand now.
      this.current = { ...next, version: before.version }
      return this.current
    }
    this.current = next
    for (const listener of this.#listeners) listener({ snapshot: next, changes, changedAtMs })
    return next
  }

  subscribe(listener: (update: SnapshotUpdate) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}
