import { type Document, isRecord } from '@weft/config/document'
import { readObject } from '@weft/config/read-object'
import type { Reading } from '@weft/config/reading'
import { type ApiObject, labelsOf } from '@weft/kubernetes/resource'

/** An object of configuration as the API server keeps it. */
export interface StoredObject {
  reading: Reading
  /** Counts the changes of its spec. */
  generation: number
  resourceVersion: string
  /** What was written back last, by whomever. */
  status: Readonly<Record<string, unknown>>
  /** The control plane that it is for, by its label `istio.io/rev`; undefined for all. */
  revision: string | undefined
}

/** Reads a custom resource by the rules that files are read by. Its place is told as `plural.group/namespace/name`. */
export function readStoredObject(object: ApiObject, type: { apiVersion: string; kind: string; plural: string }): StoredObject {
  const { metadata, value } = object
  const { apiVersion, kind, plural } = type
  const { name, namespace } = metadata
  const status = isRecord(value['status']) ? value['status'] : {}
  const { labels, annotations, creationTimestamp } = metadata
  // Only what is acted on: with resourceVersion, managedFields or our own status, each status written would be a change.
  const kept = {
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), labels, annotations, creationTimestamp },
    spec: value['spec'] ?? {},
    ...(kind === 'WorkloadEntry' && 'status' in value ? { status: healthOnly(status) } : {}),
  }
  const group = apiVersion.split('/', 1)[0]
  const file = `${plural}.${group}/${namespace === undefined ? '' : `${namespace}/`}${name}`
  const generation = metadata['generation']
  return {
    reading: readObject(documentOf(kept, file)),
    generation: typeof generation === 'number' ? generation : 0,
    resourceVersion: metadata.resourceVersion,
    status,
    revision: labelsOf(object)['istio.io/rev'],
  }
}

/** The part of a WorkloadEntry's status that says whether it takes requests. */
function healthOnly(status: Record<string, unknown>): object {
  const { conditions } = status
  if (!Array.isArray(conditions)) return {}
  const healthy: unknown = conditions.find((condition) => isRecord(condition) && condition['type'] === 'Healthy')
  return isRecord(healthy) ? { conditions: [{ type: 'Healthy', status: healthy['status'] }] } : {}
}

function documentOf(value: Record<string, unknown> & { apiVersion: string; kind: string }, file: string): Document {
  const { apiVersion, kind } = value
  return {
    apiVersion,
    kind,
    value,
    file,
    line: 1,
    get text() {
      return JSON.stringify(value, null, 2)
    },
    range: [0, 0],
    lineOf: () => 1,
  }
}
