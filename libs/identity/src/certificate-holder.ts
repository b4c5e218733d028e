import type { X509Certificate } from 'node:crypto'

/** A workload's key, its certificate chain and whom it trusts: what TLS needs. */
export interface IdentityMaterial {
  /** The SPIFFE id of the certificate. */
  id: string
  /** PKCS #8 PEM. */
  privateKeyPem: string
  /** PEM, leaf first, without the root. */
  chainPem: string
  /** PEM of all trusted roots. */
  bundlePem: string
  roots: readonly X509Certificate[]
  issuedAt: Date
  notAfter: Date
}

/** Holds the current material; whoever uses it is told of a new one, and swaps without closing what is open. */
export class CertificateHolder {
  #current: IdentityMaterial | undefined
  readonly #listeners = new Set<(material: IdentityMaterial) => void>()

  current(): IdentityMaterial | undefined {
    return this.#current
  }

  set(material: IdentityMaterial): void {
    this.#current = material
    for (const listener of this.#listeners) listener(material)
  }

  /** Calls `listener` with every material from now on; gives the function that ends it. */
  onChange(listener: (material: IdentityMaterial) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The material, as soon as there is one; rejects when `signal` aborts first. */
  async first(signal?: AbortSignal): Promise<IdentityMaterial> {
    if (this.#current !== undefined) return this.#current
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        end()
        reject(signal?.reason instanceof Error ? signal.reason : new Error('stopped before there was a certificate'))
      }
      const end = this.onChange((material) => {
        end()
        signal?.removeEventListener('abort', abort)
        resolve(material)
      })
      if (signal?.aborted) abort()
      else signal?.addEventListener('abort', abort, { once: true })
    })
  }
}
