import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findCommand, peerCache } from '../peers.ts'

/** Istio's development line of 1.31: of the module only such versions are published. */
const version = 'v0.0.0-20260827124520-eed52ebb66ad'
const packages = ['pilot-discovery', 'pilot-agent'] as const

/** A real Istio: paths of its programs, and of files that it is installed with. */
export interface IstioFiles {
  readonly discovery: string
  readonly agent: string
  /** The bootstrap that the agent fills in. */
  readonly bootstrapTemplate: string
  /** Kubernetes' definitions of its kinds. */
  readonly definitions: string
}

function filesIn(folder: string): IstioFiles | undefined {
  const files = {
    discovery: join(folder, 'bin/pilot-discovery'),
    agent: join(folder, 'bin/pilot-agent'),
    bootstrapTemplate: join(folder, 'files/envoy_bootstrap.json'),
    definitions: join(folder, 'files/crd-all.gen.yaml'),
  }
  return Object.values(files).every((path) => existsSync(path)) ? files : undefined
}

/** Istio as found (`WEFT_ISTIO`, or in the cache), or built once with Go into the cache (five minutes and more); undefined when it can't be. */
export function installIstio(): IstioFiles | undefined {
  const folder = process.env['WEFT_ISTIO'] ?? join(peerCache, 'istio')
  const found = filesIn(folder)
  if (found !== undefined) return found
  const go = findCommand('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined)
  if (go === undefined) return undefined
  const at = (...names: string[]) => join(folder, ...names)
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod -p=2' }
  const run = (...args: string[]) =>
    execFileSync(go, args, { cwd: at('module'), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], env })
  try {
    for (const name of ['bin', 'files', 'module']) mkdirSync(at(name), { recursive: true })
    writeFileSync(at('module/go.mod'), 'module build\n\ngo 1.26.0\n')
    run('get', ...packages.map((name) => `istio.io/istio/pilot/cmd/${name}@${version}`))
    for (const name of packages) {
      const flags = ['-trimpath', '-tags', 'vtprotobuf,disable_pgv', '-ldflags', '-s -w', '-o', at('bin', name)]
      run('build', ...flags, `istio.io/istio/pilot/cmd/${name}`)
    }
    const source = run('list', '-m', '-f', '{{.Dir}}', 'istio.io/istio').trim()
    copyFileSync(join(source, 'tools/packaging/common/envoy_bootstrap.json'), at('files/envoy_bootstrap.json'))
    copyFileSync(join(source, 'manifests/charts/base/files/crd-all.gen.yaml'), at('files/crd-all.gen.yaml'))
  } catch {
    return undefined
  }
  return filesIn(folder)
}
