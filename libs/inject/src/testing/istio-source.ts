import { readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * Istio's own examples of injection, where its source was fetched: `WEFT_ISTIO_SOURCE`, or Go's module cache (`go mod download
 * istio.io/istio@VERSION`). Undefined where it is not.
 */
export function findIstioExamples(): string | undefined {
  const source = process.env['WEFT_ISTIO_SOURCE'] ?? inModuleCache()
  const folder = source === undefined ? undefined : join(source, 'pkg/kube/inject/testdata/inject')
  return folder !== undefined && list(folder).length > 0 ? folder : undefined
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
