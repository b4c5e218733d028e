import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { findCommand, peerCache } from '../peers.ts'
import { start } from '../processes.ts'

/** The program `judge/` with Nomad's own client library: `WEFT_NOMAD_JUDGE`, or built once with Go; undefined when it can't be. */
export function installJudge(): string | undefined {
  const given = process.env['WEFT_NOMAD_JUDGE']
  if (given !== undefined) return given
  const go = findCommand('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined)
  if (go === undefined) return undefined
  const folder = join(peerCache, 'nomad')
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'judge')
  try {
    // Go itself sees whether anything changed.
    const command = ['build', '-p', '2', '-o', path, '.']
    execFileSync(go, command, { cwd: join(import.meta.dirname, 'judge'), stdio: 'ignore' })
  } catch {
    return undefined
  }
  return path
}

/** What the judge says of the Nomad at a URL, a line a check; throws with all of it when a check failed. */
export async function judge(program: string, url: string): Promise<string> {
  const { NOMAD_TOKEN: _token, ...env } = process.env
  const running = start([program], { env: { ...env, NOMAD_ADDR: url } })
  const code = await new Promise<number | null>((resolve) => running.child.once('close', resolve))
  if (code !== 0) throw new Error(running.output())
  return running.output()
}
