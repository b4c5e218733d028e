import { invalid } from '../plan/problems.ts'

/** Entries bound the index's memory of names that were asked for in another case or by wildcard. */
const maxRemembered = 1024

/**
 * Finds the virtual host of a request's authority, in Envoy's order: exact, `*.suffix` (longest first), `prefix.*` (longest
 * first), `*`. Names compare without case. What was found is remembered, so that a known host costs one look-up.
 */
export class VirtualHostIndex<T> {
  private readonly exact = new Map<string, T>()
  private readonly suffixes: { text: string; value: T }[] = []
  private readonly prefixes: { text: string; value: T }[] = []
  private any: T | null = null
  private readonly remembered = new Map<string, T | null>()
  private readonly ignorePort: boolean

  constructor(ignorePort: boolean) {
    this.ignorePort = ignorePort
  }

  /** Adds a domain; throws when another virtual host has it. */
  add(domain: string, value: T, path: string): void {
    const name = domain.toLowerCase()
    if (name === '*') {
      if (this.any !== null) throw invalid(path, "Only a single wildcard domain '*' is permitted")
      this.any = value
    } else if (name.startsWith('*')) this.addTo(this.suffixes, name.slice(1), value, domain, path)
    else if (name.endsWith('*')) this.addTo(this.prefixes, name.slice(0, -1), value, domain, path)
    else {
      if (this.exact.has(name))
        throw invalid(path, `Only unique values for domains are permitted. Duplicate entry of domain ${domain}`)
      this.exact.set(name, value)
    }
  }

  private addTo(list: { text: string; value: T }[], text: string, value: T, domain: string, path: string): void {
    if (list.some((entry) => entry.text === text)) {
      throw invalid(path, `Only unique values for domains are permitted. Duplicate entry of domain ${domain}`)
    }
    list.push({ text, value })
    list.sort((a, b) => b.text.length - a.text.length)
  }

  find(authority: string): T | null {
    if (!this.ignorePort) {
      const known = this.exact.get(authority)
      if (known !== undefined) return known
    }
    const remembered = this.remembered.get(authority)
    if (remembered !== undefined) return remembered
    const found = this.search(this.ignorePort ? authority.replace(/:\d+$/, '') : authority)
    if (this.remembered.size >= maxRemembered) this.remembered.clear()
    this.remembered.set(authority, found)
    return found
  }

  private search(authority: string): T | null {
    const name = authority.toLowerCase()
    const exact = this.exact.get(name)
    if (exact !== undefined) return exact
    // A wildcard stands for at least one character.
    for (const { text, value } of this.suffixes) if (name.length > text.length && name.endsWith(text)) return value
    for (const { text, value } of this.prefixes) if (name.length > text.length && name.startsWith(text)) return value
    return this.any
  }
}
