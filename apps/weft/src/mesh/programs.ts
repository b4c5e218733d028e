import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'

/** How one of Weft's own services is started. */
export interface Program {
  command: string
  args: readonly string[]
}

export interface Programs {
  citadel: Program
  pilot: Program
  mixer: Program
  proxy: Program
}

/** The folder that holds `apps/` and `node_modules/`. */
export const installation = join(import.meta.dirname, '../../../..')

const bundleFolders = z.partialRecord(z.enum(['citadel', 'pilot', 'mixer', 'proxy']), z.string())

/**
 * The services of this installation, run by the Node that runs us: from bundles, which start in half the time, or from
 * their sources where a bundle cannot be made, or `fromSources` asks for it.
 */
export async function installedPrograms(fromSources: boolean): Promise<Programs> {
  const bundles = fromSources ? {} : await currentBundles()
  const program = (app: keyof Programs): Program => {
    const bundle = bundles[app]
    if (bundle !== undefined) return { command: process.execPath, args: [join(bundle, 'apps', app, 'src/main.js')] }
    const file = join(installation, 'apps', app, 'src/main.ts')
    if (existsSync(file)) return { command: process.execPath, args: [file] }
    throw new WeftError('not_found', `${file} is missing`, { hint: 'run weft up from a complete clone, after npm ci' })
  }
  return { citadel: program('citadel'), pilot: program('pilot'), mixer: program('mixer'), proxy: program('proxy') }
}

/** Where the bundles are; made anew when sources have changed (tools/src/image/bundles.ts). */
async function currentBundles(): Promise<z.infer<typeof bundleFolders>> {
  const tool = join(installation, 'tools/src/image/bundles.ts')
  if (!existsSync(tool)) return {}
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [tool], { timeout: 60_000 })
    return bundleFolders.parse(JSON.parse(stdout))
  } catch {
    // Sources always work; they only start later.
    return {}
  }
}

/**
 * Where Node keeps compiled code between starts: the second start of a mesh then needs neither parse nor strip types.
 */
export const compileCacheFolder = join(installation, 'node_modules/.cache/weft/compile')

/** What every Mixer starts with: the attribute vocabulary and the standard metrics. */
export const mixerDefaults = join(installation, 'apps/mixer/config')
