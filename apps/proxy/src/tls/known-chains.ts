import type { SecureContext } from 'node:tls'

/** Chains that are kept of a context. */
const maxKept = 256

/** When all certificates of a chain are good: the first and the last ms. */
export interface Validity {
  readonly fromMs: number
  readonly toMs: number
}

const kept = new WeakMap<SecureContext, Map<string, Validity>>()

/** Whether certificates (all that a peer showed, their bytes) have been found to lead to an authority of a context, and are all good now. */
export function isKnownChain(context: SecureContext, shown: string, nowMs = Date.now()): boolean {
  const validity = kept.get(context)?.get(shown)
  return validity !== undefined && nowMs >= validity.fromMs && nowMs < validity.toMs
}

/** Keeps that they do; a context that trusts others is another one. */
export function keepChain(context: SecureContext, shown: string, validity: Validity): void {
  const chains = kept.get(context) ?? new Map<string, Validity>()
  kept.set(context, chains)
  if (chains.size >= maxKept) chains.delete(chains.keys().next().value!)
  chains.set(shown, validity)
}
