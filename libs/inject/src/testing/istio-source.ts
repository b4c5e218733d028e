import { readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * Istio's source with its own examples of injection, where it was fetched: `WEFT_ISTIO_SOURCE`, or Go's module cache (`go mod
 * download istio.io/istio@VERSION`). Undefined where it is not.
 */
export function findIstioSource(): string | undefined {
  const source = process.env['WEFT_ISTIO_SOURCE'] ?? inModuleCache()
  return source !== undefined && list(join(source, 'pkg/kube/inject/testdata/inject')).length > 0 ? source : undefined
}

function inModuleCache(): string | undefined {
  const folder = join(process.env['GOMODCACHE'] ?? join(process.env['GOPATH'] ?? join(homedir(), 'go'), 'pkg/mod'), 'istio.io')
  const found = list(folder)
    .filter((name) => name.startsWith('istio@'))
    .sort()
    .at(-1)
  return found === undefined ? undefined : join(folder, found)
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
