/** The rolling window moves in steps of this many a second. */
export const TICKS_PER_SECOND = 10

/** Counts what of one quota has been taken. */
export interface Cell {
  /** Takes an amount, or with `bestEffort` as much of it as is left. Gives what was taken. */
  allocate(amount: number, bestEffort: boolean, tick: number): number
  /** Gives back an amount, at most what is taken. Gives what was given back. */
  release(amount: number, tick: number): number
  /** True when nothing would be lost by forgetting the cell. */
  idle(tick: number): boolean
}

/** An amount that does not come back by itself. */
export function fixedCell(max: number): Cell {
  let taken = 0
  return {
    allocate(amount, bestEffort) {
      const granted = grantable(amount, max - taken, bestEffort)
      taken += granted
      return granted
    },
    release(amount) {
      const released = Math.min(amount, taken)
      taken -= released
      return released
    },
    idle: () => taken === 0,
  }
}

/** An amount that may be taken within any window of so many ticks. What was taken leaves the window as it moves. */
export function rollingCell(max: number, windowTicks: number): Cell {
  /** What was taken in which tick, oldest first; one entry a tick that took something. */
  let takings: { tick: number; amount: number }[] = []
  let taken = 0

  const moveTo = (tick: number): void => {
    let gone = 0
    for (const taking of takings) {
      if (taking.tick > tick - windowTicks) break
      taken -= taking.amount
      gone++
    }
    if (gone > 0) takings = takings.slice(gone)
  }
  return {
    allocate(amount, bestEffort, tick) {
      moveTo(tick)
      const granted = grantable(amount, max - taken, bestEffort)
      if (granted === 0) return 0
      taken += granted
      const last = takings.at(-1)
      if (last !== undefined && last.tick >= tick) last.amount += granted
      else takings.push({ tick, amount: granted })
      return granted
    },
    release(amount, tick) {
      moveTo(tick)
      let left = Math.min(amount, taken)
      const released = left
      // The oldest last: what was taken just now is what a caller gives back.
      while (left > 0) {
        const last = takings.at(-1)
        if (last === undefined) break
        const part = Math.min(left, last.amount)
        last.amount -= part
        taken -= part
        left -= part
        if (last.amount === 0) takings.pop()
      }
      return released
    },
    idle(tick) {
      moveTo(tick)
      return taken === 0
    },
  }
}

function grantable(amount: number, left: number, bestEffort: boolean): number {
  if (amount <= left) return amount
  return bestEffort ? Math.max(left, 0) : 0
}
