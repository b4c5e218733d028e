import type { Problem } from '@weft/config/problem'
import type { LoadedConfig } from '@weft/config/watch/loaded'

/**
 * Where configuration comes from besides the folders: custom resources of Kubernetes, and the like. One that loses its platform
 * keeps what it had, says so in `state`, and reconciles on return.
 */
export interface ConfigProvider {
  /** As `--config-source` names it. */
  readonly name: string
  readonly current: LoadedConfig
  /** `synced`: its first answer is in. `problem`: why its answer may be old. */
  readonly state: { readonly synced: boolean; readonly problem: string | undefined }
  /** Calls `listener` after each change of `current`, until the returned function is called. */
  subscribe(listener: () => void): () => void
  close(): Promise<void>
}

/** Puts configurations together: an object that two of them define is taken from the first, with a warning. */
export function mergeConfigs([first, ...others]: readonly LoadedConfig[]): LoadedConfig {
  if (first === undefined || others.length === 0) return first ?? { objects: new Map(), problems: [] }
  const objects = new Map(first.objects)
  const problems: Problem[] = [...first.problems]
  for (const config of others) {
    problems.push(...config.problems)
    for (const [key, loaded] of config.objects) {
      const earlier = objects.get(key)
      if (earlier === undefined) {
        objects.set(key, loaded)
        continue
      }
      const { file, line } = loaded.object.document
      const message = `${key} is overridden by ${earlier.object.document.file}:${earlier.object.document.line}`
      problems.push({ severity: 'warning', message, file, line, object: key, hint: 'remove one of them' })
    }
  }
  return { objects, problems }
}
