import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findCommand, peerCache } from '../peers.ts'

/** The last line of versions that is open source and that can be built from the module proxy alone. */
const version = 'v1.14.11'

/** Consul: `WEFT_CONSUL`, the one in the cache, or one on PATH. */
function findConsul(): string | undefined {
  const cached = join(peerCache, 'consul', 'consul')
  return process.env['WEFT_CONSUL'] ?? (existsSync(cached) ? cached : findCommand('consul'))
}

/** Consul as found, or built once with Go into the cache (minutes); undefined when it can't be. */
export function installConsul(): string | undefined {
  const found = findConsul()
  if (found !== undefined) return found
  const go = findCommand('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined)
  if (go === undefined) return undefined
  const folder = join(peerCache, 'consul')
  const module = join(folder, 'module')
  const path = join(folder, 'consul')
  mkdirSync(module, { recursive: true })
  // Consul's own go.mod names this one by a replacement, which a module that requires it has to say again.
  const replaced = 'launchpad.net/gocheck => github.com/go-check/check v0.0.0-20140225173054-eb6ee6f84d0a'
  writeFileSync(
    join(module, 'go.mod'),
    `module build\n\ngo 1.20\n\nrequire github.com/hashicorp/consul ${version}\n\nreplace ${replaced}\n`,
  )
  try {
    execFileSync(go, ['build', '-trimpath', '-p', '2', '-ldflags', '-s -w', '-o', path, 'github.com/hashicorp/consul'], {
      cwd: module,
      stdio: 'ignore',
      env: { ...process.env, GOFLAGS: '-mod=mod -buildvcs=false' },
    })
  } catch {
    return undefined
  }
  return path
}
