/** Something that takes input from outside and must stand any. */
export interface FuzzTarget {
  /** Valid inputs to begin with. */
  readonly seeds: readonly Uint8Array[]
  /** Pieces that mean something to the target; mixed in. */
  readonly words: readonly Uint8Array[]
  /**
   * Gives the input to the code under test. A refusal that the code documents is caught here; whatever is thrown out of
   * this function is a finding.
   */
  run(input: Uint8Array): void | Promise<void>
}

export function utf8(...texts: string[]): Uint8Array[] {
  return texts.map((text) => new TextEncoder().encode(text))
}
