/** A time (ms) with up to that share (0…1) of it more, so that what began together does not end together. */
export function withJitter(ms: number, share: number, random: () => number = Math.random): number {
  return ms + Math.floor(ms * share * random())
}
