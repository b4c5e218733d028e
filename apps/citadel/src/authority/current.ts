import type { Authority } from './authority.ts'

/** The authority in force. A rotation puts another in its place; who follows pushes the new trust bundle. */
export class CurrentAuthority {
  #authority: Authority
  readonly #listeners = new Set<(authority: Authority) => void>()

  constructor(authority: Authority) {
    this.#authority = authority
  }

  get(): Authority {
    return this.#authority
  }

  set(authority: Authority): void {
    this.#authority = authority
    for (const listener of this.#listeners) listener(authority)
  }

  /** Calls `listener` with every later authority; gives the function that ends it. */
  onChange(listener: (authority: Authority) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
