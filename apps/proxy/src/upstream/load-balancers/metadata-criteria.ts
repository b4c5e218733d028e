/** One key that an endpoint's `envoy.lb` metadata has to have, with its value in canonical form. */
export interface MetadataEntry {
  name: string
  value: string
}

/** What a route asks of an endpoint's metadata, sorted by name; made once for a route. */
export class MetadataCriteria {
  readonly entries: readonly MetadataEntry[]
  /** The same as one text: key of subsets. */
  readonly key: string
  private readonly source: Readonly<Record<string, unknown>>
  private list: readonly MetadataCriteria[] | undefined

  constructor(source: Readonly<Record<string, unknown>>) {
    this.source = source
    this.entries = entriesOf(source)
    this.key = keyOf(this.entries)
  }

  /** This and more; where both have a name the other's counts. */
  merge(other: Readonly<Record<string, unknown>>): MetadataCriteria {
    return new MetadataCriteria({ ...this.source, ...other })
  }

  /** Only some of the names. */
  only(names: { has(name: string): boolean }): MetadataCriteria {
    return new MetadataCriteria(Object.fromEntries(Object.entries(this.source).filter(([name]) => names.has(name))))
  }

  /** The criteria to try in turn: this with each entry of its `fallback_list`, or itself. */
  get alternatives(): readonly MetadataCriteria[] {
    if (this.list !== undefined) return this.list
    const { fallback_list: list, ...rest } = this.source
    const overrides = Array.isArray(list) ? list : []
    const criteria = new MetadataCriteria(rest)
    this.list =
      overrides.length === 0
        ? [criteria]
        : overrides.map((override: unknown) => (isRecord(override) ? criteria.merge(override) : criteria))
    return this.list
  }
}

/** Entries of metadata, sorted by name. */
export function entriesOf(source: Readonly<Record<string, unknown>>): MetadataEntry[] {
  return Object.entries(source)
    .map(([name, value]) => ({ name, value: canonical(value) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Sorted entries as one text. */
export function keyOf(entries: readonly MetadataEntry[]): string {
  return entries.map(({ name, value }) => `${JSON.stringify(name)}:${value}`).join()
}

/** A value of metadata as text that is the same for equal values only. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (!isRecord(value)) return JSON.stringify(value ?? null)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join()}}`
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
