import { isRecord } from '@weft/config/document'
import { parseAllDocuments } from 'yaml'

/** Values over others, key by key. */
export function over(base: unknown, overlay: unknown): unknown {
  if (!isRecord(base) || !isRecord(overlay)) return overlay
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(overlay)) merged[key] = key in base ? over(base[key], value) : value
  return merged
}

/** The objects of a text, in which what means the same to Kubernetes is the same. */
export function comparable(yaml: string): unknown[] {
  const parsed = parseAllDocuments(yaml)
  const objects = Array.isArray(parsed) ? parsed.map((document) => document.toJS() as unknown) : []
  return objects.filter((object) => object !== null).map((object) => normalised(podMetadataOfCronJob(object), ''))
}

/** Istio's offline injection labels a CronJob's jobs, where its webhook and ours label their pods. */
function podMetadataOfCronJob(object: unknown): unknown {
  if (!isRecord(object) || object['kind'] !== 'CronJob') return object
  type WithMetadata = { metadata?: Record<string, unknown> }
  const { spec } = object as { spec: { jobTemplate: WithMetadata & { spec: { template: WithMetadata } } } }
  const { jobTemplate } = spec
  jobTemplate.spec.template.metadata = { ...jobTemplate.spec.template.metadata, ...jobTemplate.metadata }
  delete jobTemplate.metadata
  return object
}

function normalised(value: unknown, name: string): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => normalised(item, ''))
    return name === 'env' ? items.sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1)) : items
  }
  if (isRecord(value)) {
    const fields = Object.entries(value).map(([key, item]): [string, unknown] => [key, normalised(item, key)])
    return Object.fromEntries(fields.filter(([key, item]) => !isNothing(key, item)))
  }
  if (typeof value !== 'string') return name === 'initialDelaySeconds' && value === 0 ? undefined : value
  // A quantity, which Go writes in its shortest form.
  if (name === 'cpu' && /000m$/.test(value)) return value.slice(0, -4)
  if (!/^\s*[[{]/.test(value)) return value
  try {
    return { json: normalised(JSON.parse(value), '') }
  } catch {
    return value
  }
}

function nameOf(item: unknown): string {
  return isRecord(item) ? String(item['name']) : ''
}

/** Fields that Go writes though they are empty, or that the API server fills in. */
function isNothing(key: string, value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (value === '' && (key === 'value' || key === 'serviceAccountName')) return true
  if (value === false && key === 'readOnly') return true
  if (['creationTimestamp', 'status', 'paused', 'minReadySeconds', 'test'].includes(key)) return true
  const empty = ['resources', 'strategy', 'updateStrategy', 'emptyDir', 'metadata', 'initContainers', 'httpGet']
  return empty.includes(key) && (Array.isArray(value) ? value.length === 0 : isRecord(value) && Object.keys(value).length === 0)
}
