type Metadata = Record<string, Record<string, unknown>>

/** A request's dynamic metadata, by namespace: made when something is noted, shared with other requests as long as nothing else is. */
export class DynamicMetadata {
  /** null: none. */
  all: Metadata | null = null
  /** `all` is other requests' too, and not to be changed. */
  private isShared = false

  /** Another request. */
  forget(): void {
    this.all = null
  }

  /** A namespace's metadata, to be read and changed. */
  of(namespace: string): Record<string, unknown> {
    if (this.all === null || this.isShared) {
      const own: Metadata = {}
      for (const [name, values] of Object.entries(this.all ?? {})) own[name] = { ...values }
      this.all = own
      this.isShared = false
    }
    const { all } = this
    let one = all[namespace]
    if (one === undefined) {
      one = {}
      all[namespace] = one
    }
    return one
  }

  /** Adds what is the same for many requests. */
  noteShared(metadata: Metadata): void {
    if (this.all === null) {
      this.all = metadata
      this.isShared = true
      return
    }
    for (const namespace of Object.keys(metadata)) Object.assign(this.of(namespace), metadata[namespace])
  }
}
