import { z } from 'zod'

/** A collection of the API: `{ group: 'networking.istio.io', version: 'v1', plural: 'virtualservices' }`; the core's group is empty. */
export interface ResourceType {
  group: string
  version: string
  plural: string
}

/** The path of a collection, of one namespace or of all, and of one object or its subresource in it. */
export function resourcePath(
  { group, version, plural }: ResourceType,
  namespace?: string,
  name?: string,
  below?: string,
): string {
  const base = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const parts = [...(namespace === undefined ? [] : ['namespaces', namespace]), plural, name, below]
  return `${base}/${parts
    .filter((part) => part !== undefined)
    .map(encodeURIComponent)
    .join('/')}`
}

const metadataSchema = z.looseObject({
  name: z.string(),
  namespace: z.string().optional(),
  uid: z.string().default(''),
  resourceVersion: z.string().default(''),
})

/** An object as the API server gives it: its metadata is read, the rest is left to who knows the kind. */
export interface ApiObject {
  metadata: z.infer<typeof metadataSchema>
  value: Record<string, unknown>
}

/** Reads what any object has; undefined for what is none. */
export function readApiObject(value: unknown): ApiObject | undefined {
  if (typeof value !== 'object' || value === null || !('metadata' in value)) return undefined
  const metadata = metadataSchema.safeParse(value.metadata)
  return metadata.success ? { metadata: metadata.data, value: { ...value } } : undefined
}

/** `namespace/name`, or the name alone of what has no namespace. */
export function apiObjectKey({ metadata }: ApiObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`
}

const labelsSchema = z.record(z.string(), z.string()).catch({})

/** An object's labels; none where they cannot be read. */
export function labelsOf({ metadata }: ApiObject): Readonly<Record<string, string>> {
  return labelsSchema.parse(metadata['labels'] ?? {})
}
