import { describeType, isRecord } from '@weft/config/document'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'

const text = z.string()
const texts = z.record(z.string(), z.string())
const intOrString = z.union([z.int(), z.string()])

const httpGetSchema = z.looseObject({ port: intOrString, scheme: text.optional() })
const handlerSchema = z.looseObject({
  httpGet: httpGetSchema.optional(),
  tcpSocket: z.looseObject({ port: intOrString }).optional(),
})
const probeSchema = z.looseObject({
  ...handlerSchema.shape,
  grpc: z.looseObject({ port: z.int() }).optional(),
  timeoutSeconds: z.int().optional(),
})
const containerSchema = z.looseObject({
  name: text,
  image: text.optional(),
  args: z.array(text).optional(),
  env: z.array(z.looseObject({ name: text, value: text.optional() })).optional(),
  ports: z.array(z.looseObject({ name: text.optional(), containerPort: z.int(), protocol: text.optional() })).optional(),
  readinessProbe: probeSchema.optional(),
  livenessProbe: probeSchema.optional(),
  startupProbe: probeSchema.optional(),
  lifecycle: z.looseObject({ postStart: handlerSchema.optional(), preStop: handlerSchema.optional() }).optional(),
  securityContext: z.looseObject({ runAsUser: z.int().optional(), runAsGroup: z.int().optional() }).optional(),
})
const podSchema = z.looseObject({
  metadata: z
    .looseObject({
      name: text.optional(),
      generateName: text.optional(),
      namespace: text.optional(),
      labels: texts.optional(),
      annotations: texts.optional(),
      ownerReferences: z
        .array(z.looseObject({ apiVersion: text, kind: text, name: text, controller: z.boolean().optional() }))
        .optional(),
    })
    .prefault({}),
  spec: z.looseObject({
    hostNetwork: z.boolean().optional(),
    serviceAccountName: text.optional(),
    containers: z.array(containerSchema).prefault([]),
    initContainers: z.array(containerSchema).optional(),
    volumes: z.array(z.looseObject({ name: text })).optional(),
    imagePullSecrets: z.array(z.looseObject({ name: text })).optional(),
  }),
})

/** A pod, or the template of one: what injection touches has its type, all else is carried along. */
export type Pod = z.infer<typeof podSchema>
export type Container = z.infer<typeof containerSchema>
export type Probe = z.infer<typeof probeSchema>
export type LifecycleHandler = z.infer<typeof handlerSchema>

/** The sidecar's container, in `containers` or, native, in `initContainers`. */
export const proxyContainerName = 'istio-proxy'

/** Nesting that no pod needs. */
const mostDepth = 64

/**
 * Reads a pod from plain values; nulls are fields that are not there, as Kubernetes has it. Throws `invalid_argument` with
 * the path of what has the wrong type.
 */
export function readPod(value: unknown): Pod {
  return readAs(podSchema, value, 'the pod')
}

/** Reads a list of containers; `what` names it in errors. */
export function readContainers(value: unknown, what: string): Container[] {
  return readAs(z.array(containerSchema), value ?? [], what)
}

function readAs<Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.infer<Schema> {
  const read = schema.safeParse(withoutNulls(value))
  if (read.success) return read.data
  const [issue] = read.error.issues
  const path = issue?.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('') ?? ''
  throw new WeftError('invalid_argument', `${what} cannot be read: ${issue?.message ?? 'it has a wrong type'}`, {
    where: { path: path.replace(/^\./, '') },
    hint: isRecord(value) ? 'a pod has the fields that Kubernetes gives it' : `it is ${describeType(value)}, not an object`,
  })
}

/** The value without the fields that are null. Throws `invalid_argument` when it is nested too deeply. */
export function withoutNulls(value: unknown, depth = 0): unknown {
  if (depth > mostDepth) throw new WeftError('invalid_argument', `the pod is nested deeper than ${mostDepth} levels`)
  if (Array.isArray(value)) return value.map((item: unknown) => withoutNulls(item, depth + 1))
  if (!isRecord(value)) return value
  const kept: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) {
    if (item === null || item === undefined) continue
    // Such a key would set the prototype.
    Object.defineProperty(kept, key, {
      value: withoutNulls(item, depth + 1),
      enumerable: true,
      writable: true,
      configurable: true,
    })
  }
  return kept
}

/** All containers of a pod, those that start first before the others. */
export function allContainers({ spec }: Pod): Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers]
}

export function findContainer(containers: readonly Container[] | undefined, name: string): Container | undefined {
  return containers?.find((container) => container.name === name)
}

/** The sidecar of a pod, wherever it stands. */
export function findSidecar({ spec }: Pod): Container | undefined {
  return findContainer(spec.containers, proxyContainerName) ?? findContainer(spec.initContainers, proxyContainerName)
}
