/** The namespace whose rules count for the whole mesh, and where names are looked for that a rule's own lacks. */
export const ROOT_NAMESPACE = 'istio-system'

/** The kinds that name their adapter or template inside, rather than by the kind. */
export type GenericKind = 'handler' | 'instance'

/** `name.kind.namespace`: how Mixer's configuration names an object everywhere. */
export function fullName(name: string, kind: string, namespace: string): string {
  return `${name}.${kind}.${namespace}`
}

/**
 * The full names that a reference may mean, best first. A rule may write `name` (of the generic kind), `name.kind`,
 * `name.namespace` (of the generic kind) or `name.kind.namespace`; what it leaves out is the rule's own namespace, and
 * after that the root namespace.
 */
export function candidates(reference: string, generic: GenericKind, namespace: string): string[] {
  const parts = reference.split('.')
  const [name = '', second = ''] = parts
  if (parts.length >= 3) return [reference]
  const names =
    parts.length === 2
      ? [fullName(name, second, namespace), fullName(name, generic, second), fullName(name, second, ROOT_NAMESPACE)]
      : [fullName(name, generic, namespace), fullName(name, generic, ROOT_NAMESPACE)]
  return [...new Set(names)]
}

/** Finds what a reference names. */
export function resolveName<Value>(
  reference: string,
  generic: GenericKind,
  namespace: string,
  known: ReadonlyMap<string, Value>,
): Value | undefined {
  for (const candidate of candidates(reference, generic, namespace)) {
    const value = known.get(candidate)
    if (value !== undefined) return value
  }
  return undefined
}
