import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findCommand, peerCache } from '../peers.ts'

const version = 'v1.37.2'
const [major, minor] = version.slice(1).split('.')
type Program = 'etcd' | 'kube-apiserver' | 'kubectl' | 'kube-controller-manager'

const programs: readonly [name: Program, packagePath: string][] = [
  ['etcd', 'go.etcd.io/etcd/server/v3'],
  ['kube-apiserver', 'k8s.io/kubernetes/cmd/kube-apiserver'],
  ['kubectl', 'k8s.io/kubernetes/cmd/kubectl'],
  ['kube-controller-manager', 'k8s.io/kubernetes/cmd/kube-controller-manager'],
]

/** The folder with etcd, kube-apiserver, kubectl and kube-controller-manager: `WEFT_KUBE`, or the one in the cache. */
function findKubernetes(needed: readonly Program[]): string | undefined {
  const folder = process.env['WEFT_KUBE'] ?? join(peerCache, 'kube', 'bin')
  return needed.every((name) => existsSync(join(folder, name))) ? folder : undefined
}

/**
 * The folder with these programs as found, or built once with Go into the cache (ten minutes and more); undefined when they
 * can't be.
 */
export function installKubernetes(needed: readonly Program[] = ['etcd', 'kube-apiserver', 'kubectl']): string | undefined {
  const found = findKubernetes(needed)
  if (found !== undefined) return found
  const go = findCommand('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined)
  if (go === undefined) return undefined
  const bin = join(peerCache, 'kube', 'bin')
  const module = join(peerCache, 'kube', 'module')
  mkdirSync(bin, { recursive: true })
  mkdirSync(module, { recursive: true })
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod -p=2' }
  try {
    writeFileSync(join(module, 'go.mod'), moduleFile(go, module))
    // An API server without a minor version ends at its start.
    const said = { gitVersion: version, gitMajor: major, gitMinor: minor }
    const stamp = Object.entries(said).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    for (const [name, packagePath] of programs) {
      if (existsSync(join(bin, name))) continue
      const flags = ['-trimpath', '-ldflags', `-s -w ${stamp.join(' ')}`, '-o', join(bin, name)]
      execFileSync(go, ['build', ...flags, packagePath], { cwd: module, stdio: 'ignore', env })
    }
  } catch {
    return undefined
  }
  return findKubernetes(needed)
}

/**
 * A module that builds Kubernetes: its own go.mod says where its parts are by replacements, which count only in the module
 * that is built, so they are said again, with the versions under which the parts are published.
 */
function moduleFile(go: string, folder: string): string {
  const parts = `v0.${version.slice('v1.'.length)}`
  writeFileSync(join(folder, 'go.mod'), 'module build\n\ngo 1.26.0\n')
  const answer: unknown = JSON.parse(
    execFileSync(go, ['mod', 'download', '-json', `k8s.io/kubernetes@${version}`], { cwd: folder, encoding: 'utf8' }),
  )
  if (typeof answer !== 'object' || answer === null || !('GoMod' in answer)) throw new Error('no go.mod')
  const text = readFileSync(String(answer.GoMod), 'utf8')
  const required = [...text.matchAll(/^require \(\n[^)]*\)/gm)].map(([block]) =>
    block.replaceAll(/ v0\.0\.0( |$)/gm, ` ${parts}$1`),
  )
  const replaced = [...text.matchAll(/^\t(k8s\.io\/[a-z-]+) => \.\/staging\/.*$/gm)].map(
    ([, name]) => `replace ${name} => ${name} ${parts}`,
  )
  const debug = text.split('\n').filter((line) => line.startsWith('godebug'))
  const lines = ['module build', 'go 1.26.0', ...required, ...debug, `require k8s.io/kubernetes ${version}`, ...replaced]
  return `${lines.join('\n')}\n`
}
