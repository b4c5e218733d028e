import { z } from 'zod'
import { joinPath } from './path.ts'

const text = z.string().nullish()
const texts = z.record(z.string(), z.string()).nullish()

/** Kubernetes' ObjectMeta, as far as it means something outside of Kubernetes; the rest is let through. */
const metadataSchema = z.looseObject({
  name: text,
  generateName: text,
  namespace: text,
  labels: texts,
  annotations: texts,
  creationTimestamp: text,
})

export interface Metadata {
  name: string
  /** `default` where the document names none. */
  namespace: string
  labels: Readonly<Record<string, string>>
  annotations: Readonly<Record<string, string>>
  /** Milliseconds since 1970; of two objects that contradict each other the older wins. Files without one: 0. */
  createdMs: number
}

/** DNS-1123 subdomain, what Kubernetes takes as a name. */
const namePattern = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/
const labelKey = /^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?\/)?[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?$/
const labelValue = /^([A-Za-z0-9]([-\w.]*[A-Za-z0-9])?)?$/

/** Whether text is a DNS-1123 subdomain. */
function isName(text: string): boolean {
  return text.length <= 253 && namePattern.test(text)
}

/** Why a label cannot be one; undefined when it can. */
export function labelProblem(key: string, value: string): string | undefined {
  if (key.length > 317 || !labelKey.test(key)) return `label key "${key}" is invalid`
  if (value.length > 63 || !labelValue.test(value)) return `label value "${value}" is invalid`
  return undefined
}

/** Reads `metadata`; each problem with its path. */
export function readMetadata(value: unknown): {
  metadata: Metadata
  problems: { path: string; message: string; hint?: string }[]
} {
  const parsed = metadataSchema.safeParse(value ?? {})
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => ({ path: issuePath('metadata', issue.path), message: issue.message }))
  const given = parsed.data ?? {}
  const metadata: Metadata = {
    name: given.name || given.generateName || '',
    namespace: given.namespace || 'default',
    labels: given.labels ?? {},
    annotations: given.annotations ?? {},
    createdMs: Date.parse(given.creationTimestamp ?? '') || 0,
  }
  return { metadata, problems: [...problems, ...problemsOf(metadata, parsed.success)] }
}

function problemsOf(metadata: Metadata, readable: boolean): { path: string; message: string; hint?: string }[] {
  if (!readable) return []
  const problems: { path: string; message: string; hint?: string }[] = []
  if (metadata.name === '') problems.push({ path: 'metadata.name', message: 'name is missing', hint: 'every object has one' })
  else if (!isName(metadata.name)) {
    const hint = 'lower case letters, digits, "-" and "."'
    problems.push({ path: 'metadata.name', message: `"${metadata.name}" is no valid name`, hint })
  }
  if (!isName(metadata.namespace)) {
    problems.push({ path: 'metadata.namespace', message: `"${metadata.namespace}" is no valid namespace` })
  }
  for (const [key, label] of Object.entries(metadata.labels)) {
    const message = labelProblem(key, label)
    if (message !== undefined) problems.push({ path: issuePath('metadata', ['labels', key]), message })
  }
  return problems
}

/** A zod issue's path below `base`, as paths are written here. */
export function issuePath(base: string, path: readonly PropertyKey[]): string {
  let at = base
  for (const segment of path) at = joinPath(at, typeof segment === 'number' ? segment : String(segment))
  return at
}
