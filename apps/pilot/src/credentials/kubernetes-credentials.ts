import type { KubernetesClient } from '@weft/kubernetes/client'
import type { ApiObject } from '@weft/kubernetes/resource'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { z } from 'zod'
import { Collection, tellOfProblem } from '../registries/kubernetes/collection.ts'
import { type Credential, type CredentialSource, credentialKey, readCredential } from './credential.ts'

export interface KubernetesCredentialsOptions {
  client: KubernetesClient
  /** Each is followed by itself; empty: all of the cluster. */
  namespaces: readonly string[]
  logger: Logger
}

/** Kinds of secrets that never hold a credential, and of which a cluster has many. */
const otherTypes = ['helm.sh/release.v1', 'kubernetes.io/service-account-token', 'kubernetes.io/dockerconfigjson']

/** How long an answer about a service account's rights holds. */
const reviewMs = 60_000

const dataSchema = z.record(z.string(), z.string()).catch({})
const reviewSchema = z.looseObject({ status: z.looseObject({ allowed: z.boolean() }) })

/** The credentials of a Kubernetes cluster: Secrets that hold a certificate or authorities. */
export class KubernetesCredentials implements CredentialSource {
  readonly #client: KubernetesClient
  readonly #logger: Logger
  readonly #secrets: Collection<Credential>
  readonly #listeners = new Set<() => void>()
  readonly #reviews = new Map<string, { allowed: Promise<boolean>; untilMs: number }>()
  #current: ReadonlyMap<string, Credential> | undefined
  #problem: string | undefined

  constructor({ client, namespaces, logger }: KubernetesCredentialsOptions) {
    this.#client = client
    this.#logger = logger
    this.#secrets = new Collection({
      client,
      logger,
      namespaces,
      resource: { group: '', version: 'v1', plural: 'secrets' },
      fieldSelector: otherTypes.map((type) => `type!=${type}`).join(),
      read: (object) => this.#read(object),
      onChange: () => {
        this.#current = undefined
        for (const listener of this.#listeners) listener()
      },
      onState: () => {
        const before = this.#problem
        this.#problem = this.#secrets.problem
        tellOfProblem(logger, 'credentials of Kubernetes', before, this.#problem)
      },
    })
  }

  get current(): ReadonlyMap<string, Credential> {
    this.#current ??= new Map(this.#keyed())
    return this.#current
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** As Istio: an account may have the credentials of its namespace that the cluster itself would let it list. */
  mayRead(namespace: string, serviceAccount: string): Promise<boolean> {
    const key = `${namespace}/${serviceAccount}`
    const known = this.#reviews.get(key)
    if (known !== undefined && known.untilMs > performance.now()) return known.allowed
    const allowed = this.#review(namespace, serviceAccount)
    this.#reviews.set(key, { allowed, untilMs: performance.now() + reviewMs })
    allowed.catch(() => this.#reviews.delete(key))
    return allowed
  }

  async #review(namespace: string, serviceAccount: string): Promise<boolean> {
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated']
    const spec = {
      user: `system:serviceaccount:${namespace}:${serviceAccount}`,
      groups,
      resourceAttributes: { namespace, verb: 'list', resource: 'secrets' },
    }
    const answer = await this.#client.call({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec },
    })
    const read = reviewSchema.safeParse(answer)
    if (!read.success) throw new WeftError('unavailable', 'the API server gave no answer to a SubjectAccessReview')
    return read.data.status.allowed
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await this.#secrets.close()
  }

  *#keyed(): Iterable<[string, Credential]> {
    for (const [, credential] of this.#secrets.entries()) {
      yield [credentialKey(credential.namespace, undefined, credential.name), credential]
    }
  }

  #read({ metadata, value }: ApiObject): Credential | undefined {
    const { namespace = '', name } = metadata
    const data = dataSchema.parse(value['data'] ?? {})
    try {
      return readCredential({ namespace, name }, (entry) => {
        const text = data[entry]
        return text === undefined ? undefined : Buffer.from(text, 'base64')
      })
    } catch (thrown) {
      this.#logger.warn(WeftError.from(thrown).describe())
      return undefined
    }
  }
}
