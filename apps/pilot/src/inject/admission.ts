import { decide } from '@weft/inject/decide'
import { injectPod } from '@weft/inject/inject'
import { jsonPatch } from '@weft/inject/json-patch'
import { readPod } from '@weft/inject/pod'
import type { InjectionSettings } from '@weft/inject/settings'
import { workloadOf } from '@weft/inject/workload'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'

const reviewSchema = z.looseObject({
  apiVersion: z.enum(['admission.k8s.io/v1', 'admission.k8s.io/v1beta1']),
  kind: z.literal('AdmissionReview'),
  request: z.looseObject({
    uid: z.string().min(1),
    namespace: z.string().default(''),
    operation: z.string().default('CREATE'),
    subResource: z.string().optional(),
    resource: z.looseObject({ group: z.string(), version: z.string(), resource: z.string() }).optional(),
    object: z.unknown(),
  }),
})

/** Reads an AdmissionReview (v1 or v1beta1). Throws `invalid_argument` for what is none. */
export function readReview(body: unknown): z.infer<typeof reviewSchema> {
  const review = reviewSchema.safeParse(body)
  if (review.success) return review.data
  const [issue] = review.error.issues
  throw new WeftError('invalid_argument', `not an AdmissionReview: ${issue?.path.join('.')}: ${issue?.message}`)
}

/** The answer to an AdmissionReview, as the API server takes it. */
export interface AdmissionAnswer {
  apiVersion: string
  kind: 'AdmissionReview'
  response: {
    uid: string
    allowed: boolean
    patchType?: 'JSONPatch'
    /** JSON Patch (RFC 6902) in base64. */
    patch?: string
    status?: { message: string; code: number }
    warnings?: string[]
  }
}

export type Outcome = 'injected' | 'skipped' | 'refused'

/**
 * Answers an AdmissionReview (v1 or v1beta1) for a pod that is being made: allowed, with the patch that injects it; a pod that
 * can't be injected as it asks is refused with the reason. `environment` is for its proxy. Nothing is kept, so that a dry run is
 * answered like any other. Throws `invalid_argument` for what is no AdmissionReview.
 */
export function answerReview(
  body: unknown,
  settings: InjectionSettings,
  environment: Readonly<Record<string, string>>,
): { answer: AdmissionAnswer; outcome: Outcome; told: string } {
  const { apiVersion, kind, request } = readReview(body)
  const { uid, namespace } = request
  const answer = (response: Omit<AdmissionAnswer['response'], 'uid'>): AdmissionAnswer => ({
    apiVersion,
    kind,
    response: { uid, ...response },
  })
  const resource = request.resource
  const isPod = resource === undefined || (resource.group === '' && resource.resource === 'pods')
  if (!isPod || request.operation !== 'CREATE' || request.subResource) {
    return { answer: answer({ allowed: true }), outcome: 'skipped', told: 'no pod is being made' }
  }
  try {
    const pod = readPod(request.object)
    pod.metadata.namespace ??= namespace
    const told = `${pod.metadata.namespace}/${pod.metadata.name ?? pod.metadata.generateName ?? ''}`
    const decision = decide(pod, pod.metadata.namespace, settings)
    if (!decision.inject) return { answer: answer({ allowed: true }), outcome: 'skipped', told: `${told}: ${decision.reason}` }
    const injected = injectPod({ pod, workload: workloadOf(pod), settings, environment })
    const patch = Buffer.from(JSON.stringify(jsonPatch(request.object, injected))).toString('base64')
    return { answer: answer({ allowed: true, patchType: 'JSONPatch', patch }), outcome: 'injected', told }
  } catch (thrown) {
    const message = WeftError.from(thrown).describe()
    return { answer: answer({ allowed: false, status: { message, code: 400 } }), outcome: 'refused', told: message }
  }
}

const variables: Readonly<Record<string, string>> = { cluster: 'ISTIO_META_CLUSTER_ID', net: 'ISTIO_META_NETWORK' }

/**
 * The proxy's environment as the webhook's path names it: `/inject/cluster/east/net/n1`; other names are variables in capitals,
 * and `--slash--` is a slash in a value.
 */
export function pathEnvironment(path: string): Record<string, string> {
  const parts = path.split('/').slice(2)
  const environment: Record<string, string> = {}
  for (let at = 0; at + 1 < parts.length; at += 2) {
    const [key = '', value = ''] = [parts[at], parts[at + 1]]
    const name = Object.hasOwn(variables, key) ? variables[key] : key.toUpperCase()
    if (name !== undefined && /^[A-Z_][A-Z0-9_]*$/.test(name)) environment[name] = value.replaceAll('--slash--', '/')
  }
  return environment
}
