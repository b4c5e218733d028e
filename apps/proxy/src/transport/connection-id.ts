let last = 0

/** A number for each connection of this thread, as %CONNECTION_ID% shows it. */
export function nextConnectionId(): number {
  return ++last
}
