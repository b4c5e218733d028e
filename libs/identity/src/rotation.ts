/** A longer timer of Node would fire at once. */
const maxTimerMs = 2 ** 31 - 1

/** Renewal falls at a random point of this part of a certificate's life, so that a herd spreads. */
const renewalWindow = { from: 0.6, to: 0.8 } as const

/**
 * Milliseconds to wait from `now` until a certificate is renewed: a random point of 60–80 % of its life. Zero when that
 * is past, and at most 24 days, the longest that a timer of Node can wait. `issuedAt` is when it was received: `notBefore` is backdated and would make a short life seem longer.
 */
export function renewalDelayMs(issuedAt: Date, notAfter: Date, now: Date, random: () => number = Math.random): number {
  const { from, to } = renewalWindow
  return Math.min(maxTimerMs, rotationDelayMs(issuedAt, notAfter, now, 1 - (from + to) / 2, (to - from) / 2, random))
}

/**
 * The rule behind it, in Istio's terms: rotate when `graceRatio` of the life is left, give or take `jitterRatio` of the
 * life; never after expiry, never before now.
 */
export function rotationDelayMs(
  created: Date,
  expires: Date,
  now: Date,
  graceRatio: number,
  jitterRatio: number,
  random: () => number = Math.random,
): number {
  const lifeMs = expires.getTime() - created.getTime()
  const jittered = graceRatio + (random() * 2 - 1) * jitterRatio
  const graceMs = lifeMs * Math.min(1, Math.max(0, jittered))
  return Math.max(0, expires.getTime() - graceMs - now.getTime())
}

/** Wait before retry number `attempt` (0 first): doubles from `leastMs` to `mostMs`, at a random point of its upper half. */
export function retryDelayMs(attempt: number, leastMs: number, mostMs: number, random: () => number = Math.random): number {
  const ceiling = Math.min(mostMs, leastMs * 2 ** Math.min(attempt, 30))
  return ceiling / 2 + (random() * ceiling) / 2
}
