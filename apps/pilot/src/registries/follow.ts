import { createDebounce } from '../push/debounce.ts'
import type { Registry } from './registry.ts'

/** Changes of registries are gathered this long, and under a storm of them at most that long, before one `onChange`. */
const quietMs = 5
const mostMs = 50

/** Calls `onChange` after changes of any of the registries, a burst of them once; the returned function ends it. */
export function followRegistries(registries: readonly Registry[], onChange: () => void): () => void {
  const debounce = createDebounce(quietMs, mostMs, onChange)
  const stops = registries.map((registry) => registry.subscribe(() => debounce.touch()))
  return () => {
    for (const stop of stops) stop()
    debounce.close()
  }
}
