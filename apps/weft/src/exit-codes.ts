/** What the command's exit code tells; docs/command.md has the same table. */
export const exitCodes = {
  /** Done. */
  ok: 0,
  /** The operation failed; the message says why. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Configuration was refused: nothing of it was applied. */
  refused: 3,
  /** There is nothing to talk to: no mesh runs here, or a service cannot be reached. */
  unreachable: 4,
  /** Applied, but a proxy refused it or did not answer in time. */
  notAcknowledged: 5,
} as const
