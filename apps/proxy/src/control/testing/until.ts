/** Waits until a condition holds; fails with its name when it has not within `timeoutMs`. */
export async function until(what: string, holds: () => boolean, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!holds()) {
    if (performance.now() > end) throw new Error(`did not come within ${timeoutMs} ms: ${what}`)
    await new Promise<void>((resolve) => setTimeout(resolve, 5))
  }
}
