import { BlockList, isIP } from 'node:net'
import { RE2JS } from 're2js'

export type EntryType = 'STRINGS' | 'CASE_INSENSITIVE_STRINGS' | 'IP_ADDRESSES' | 'REGEX'

/** What a list says of a value; a value that cannot be in a list of this type is `invalid`. */
type Membership = 'present' | 'absent' | 'invalid'

export interface EntryList {
  readonly size: number
  lookup(value: string): Membership
}

/** A list cannot be made of its entries: which one is wrong. */
export class InvalidEntry extends Error {}

/** A list with lookups by its type. Throws `InvalidEntry` for an entry that its type does not allow. */
export function entryList(type: EntryType, entries: readonly string[]): EntryList {
  switch (type) {
    case 'STRINGS':
      return stringList(entries, (value) => value)
    case 'CASE_INSENSITIVE_STRINGS':
      return stringList(entries, (value) => value.toLowerCase())
    case 'IP_ADDRESSES':
      return addressList(entries)
    case 'REGEX':
      return patternList(entries)
  }
}

function stringList(entries: readonly string[], normalize: (value: string) => string): EntryList {
  const known = new Set(entries.map(normalize))
  return { size: known.size, lookup: (value) => (known.has(normalize(value)) ? 'present' : 'absent') }
}

function addressList(entries: readonly string[]): EntryList {
  const blocks = new BlockList()
  for (const entry of entries) {
    const [address = '', prefix, ...rest] = entry.split('/')
    const version = isIP(address)
    const bits = version === 4 ? 32 : 128
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1
    if (version === 0 || rest.length > 0 || length < 0 || length > bits) {
      throw new InvalidEntry(`'${entry}' is neither an IP address nor a network such as 10.0.0.0/8`)
    }
    blocks.addSubnet(address, length, version === 4 ? 'ipv4' : 'ipv6')
  }
  return {
    size: entries.length,
    lookup(value) {
      const version = isIP(value)
      if (version === 0) return 'invalid'
      return blocks.check(value, version === 4 ? 'ipv4' : 'ipv6') ? 'present' : 'absent'
    },
  }
}

/** Patterns of RE2, whose matching time is linear in the value. */
function patternList(entries: readonly string[]): EntryList {
  const patterns = entries.map((entry) => {
    try {
      return RE2JS.compile(entry)
    } catch (cause) {
      throw new InvalidEntry(`'${entry}' is not a regular expression: ${cause instanceof Error ? cause.message : cause}`)
    }
  })
  return {
    size: patterns.length,
    lookup: (value) => (patterns.some((pattern) => pattern.matcher(value).find()) ? 'present' : 'absent'),
  }
}
