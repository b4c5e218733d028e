import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { WeftError } from '@weft/service/errors'

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

/** The services of this installation, run by the Node that runs us. */
export function installedPrograms(): Programs {
  const entry = (app: string): Program => {
    const file = join(installation, 'apps', app, 'src/main.ts')
    if (!existsSync(file)) {
      throw new WeftError('not_found', `${file} is missing`, { hint: 'run weft up from a complete clone, after npm ci' })
    }
    return { command: process.execPath, args: [file] }
  }
  return { citadel: entry('citadel'), pilot: entry('pilot'), mixer: entry('mixer'), proxy: entry('proxy') }
}

/**
 * Where Node keeps compiled code between starts: the second start of a mesh then needs neither parse nor strip types.
 */
export const compileCacheFolder = join(installation, 'node_modules/.cache/weft/compile')

/** What every Mixer starts with: the attribute vocabulary and the standard metrics. */
export const mixerDefaults = join(installation, 'apps/mixer/config')
