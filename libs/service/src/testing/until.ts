/** Waits until `holds` says so; throws with what was waited for when it has not within `withinMs`. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, withinMs = 30_000): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise<void>((resolve) => setTimeout(resolve, 5))
  }
}
