import { readDocuments } from '@weft/config/document'
import type { ConfigObject, RawObject } from '@weft/config/objects'
import { describeProblem, hasErrors } from '@weft/config/problem'
import { readObject } from '@weft/config/read-object'
import { defaultMeshSettings, type MeshSettings } from '../model/mesh-settings.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { Snapshots } from '../model/snapshots.ts'
import { FileRegistry } from '../registries/file/file-registry.ts'

/** For tests: the objects of a YAML text, by key; throws for what is wrong with it. */
export function objectsOf(yaml: string): Map<string, ConfigObject> {
  const { documents, problems } = readDocuments(yaml, 'test.yaml')
  const objects = new Map<string, ConfigObject>()
  const found = [...problems]
  for (const document of documents) {
    const reading = readObject(document)
    found.push(...reading.problems)
    if (reading.type === 'object') objects.set(reading.key, reading.object)
  }
  if (hasErrors(found)) throw new Error(found.map(describeProblem).join('\n'))
  return objects
}

/** For tests: the objects of a YAML text that Pilot hands on unread, by key. */
function rawObjectsOf(yaml: string): Map<string, RawObject> {
  const objects = new Map<string, RawObject>()
  for (const document of readDocuments(yaml, 'test.yaml').documents) {
    const reading = readObject(document)
    if (reading.type === 'raw') objects.set(reading.key, reading.object)
  }
  return objects
}

/** For tests: a source of snapshots that is fed with YAML. */
export function snapshotsOf(
  yaml: string,
  mesh: MeshSettings = defaultMeshSettings,
): { snapshots: Snapshots; set(yaml: string): Snapshot } {
  const registry = new FileRegistry(mesh)
  const snapshots = new Snapshots(mesh, [registry])
  const set = (text: string): Snapshot => {
    const objects = objectsOf(text)
    registry.update(objects)
    snapshots.setObjects(objects)
    snapshots.setRawObjects(rawObjectsOf(text))
    return snapshots.rebuild()
  }
  set(yaml)
  return { snapshots, set }
}

/** For tests: the snapshot of a YAML text through the file registry. */
export function snapshotOf(yaml: string, mesh?: MeshSettings): Snapshot {
  return snapshotsOf(yaml, mesh).snapshots.current
}
