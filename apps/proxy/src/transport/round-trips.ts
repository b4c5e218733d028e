/**
 * Whether somebody asks for the round trips of connections that are over: then they are measured as connections end, where nobody asks it would
 * cost each of them a call.
 */
let areAsked = false

/** From now on connections know theirs at their end. */
export function askForRoundTrips(): void {
  areAsked = true
}

/** Whether a connection that ends is to measure its own. */
export function roundTripsAreAsked(): boolean {
  return areAsked
}
