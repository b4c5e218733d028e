import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../../..')

/** The command of our proxy as it is deployed: its bundle, made anew where a source has changed; without one, its sources. */
export function weftProxyCommand(): string[] {
  const made = execFileSync(process.execPath, [join(root, 'tools/src/image/bundles.ts')], { encoding: 'utf8' })
  const { proxy } = JSON.parse(made) as { proxy?: string }
  return [process.execPath, proxy === undefined ? join(root, 'apps/proxy/src/main.ts') : join(proxy, 'apps/proxy/src/main.js')]
}
