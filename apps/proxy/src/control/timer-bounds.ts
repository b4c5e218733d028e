/** The longest wait that a timer can be set for. */
export const longestTimerMs = 0x7fff_ffff
