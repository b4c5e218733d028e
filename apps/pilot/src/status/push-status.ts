/** Envoy's type URL without its prefix is enough for people: `Listener`, `Cluster`, … */
export type ResourceType = 'Cluster' | 'ClusterLoadAssignment' | 'Listener' | 'RouteConfiguration' | 'Secret' | 'ExtensionConfig'

export interface NodeRef {
  /** Unique for one ADS stream. */
  readonly connectionId: string
  readonly nodeId: string
}

/** The ADS server tells these; status/ keeps them by proxy and resource, and waits on them for `apply --wait`. */
export interface PushObserver {
  connected(node: NodeRef, info: { namespace: string; version: string; isWeft: boolean }): void
  disconnected(node: NodeRef): void
  /** `generation` is the version of the snapshot that the push was built from. */
  sent(node: NodeRef, type: ResourceType, generation: number, nonce: string): void
  /** The proxy has nothing of this type to change for the snapshot: as good as an ACK. */
  unchanged(node: NodeRef, type: ResourceType, generation: number): void
  acked(node: NodeRef, type: ResourceType, nonce: string): void
  /**
   * Refused; `resources` are those that the message names (or all of the push), each with the objects it was built
   * from as objectKey strings.
   */
  nacked(
    node: NodeRef,
    type: ResourceType,
    nonce: string,
    message: string,
    resources: readonly { name: string; objects: readonly string[] }[],
  ): void
}
