/** How header names are written where a peer insists on their case (HTTP/1.1 only; names are lower case everywhere else). */
export interface HeaderCasing {
  nameOf(lower: string): string
  /** The words behind the status, where those of the response that came are to be kept. */
  readonly reason?: string | null
}

const maxRemembered = 1024
const proper = new Map<string, string>()

/** `content-type` as `Content-Type`: a letter at the start, and behind what is no letter or digit, is a capital. */
export const properCase: HeaderCasing = {
  nameOf(lower) {
    const known = proper.get(lower)
    if (known !== undefined) return known
    const name = lower.replace(/(^|[^a-z0-9])([a-z])/g, (_all, before: string, letter: string) => before + letter.toUpperCase())
    if (proper.size >= maxRemembered) proper.clear()
    proper.set(lower, name)
    return name
  },
}

/** Where the names of a head stand in its bytes: of each entry from, to, and two more numbers; from < 0: it was removed. */
interface NameRanges {
  readonly entries: number
  readonly ranges: ArrayLike<number>
}

/** Names as a message brought them; `others`: the case of names that were added since (null: lower). */
export class ReceivedCase implements HeaderCasing {
  private readonly received = new Map<string, string>()
  private readonly others: HeaderCasing | null
  readonly reason: string | null

  /** `bytes`: the block that `table`'s ranges tell of, before its names were made lower case. */
  constructor(table: NameRanges, bytes: Buffer, others: HeaderCasing | null, reason: string | null = null) {
    this.others = others
    this.reason = reason
    for (let i = 0; i < table.entries; i++) {
      const start = table.ranges[i * 4]!
      if (start < 0) continue
      const name = bytes.latin1Slice(start, table.ranges[i * 4 + 1])
      const lower = name.toLowerCase()
      if (!this.received.has(lower)) this.received.set(lower, name)
    }
  }

  nameOf(lower: string): string {
    return this.received.get(lower) ?? this.others?.nameOf(lower) ?? lower
  }
}

/** What a codec does about the case of names. */
export interface CaseOptions {
  /** Of heads that bring no casing of their own; null: lower case. */
  written: HeaderCasing | null
  /**
   * Keep the case of names that are read, for whoever writes them on; `others` is that of names added meanwhile. `reason`: keep
   * the words of a status line too.
   */
  kept: { others: HeaderCasing | null; reason: boolean } | null
}

export const lowerCase: CaseOptions = { written: null, kept: null }
