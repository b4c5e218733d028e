import { readFile, stat } from 'node:fs/promises'
import { type InjectionSettings, injectionSettings, parseSettings } from '@weft/inject/settings'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'

export interface SettingsFiles {
  /** Values as of Istio's charts, YAML. */
  values?: string | undefined
  /** MeshConfig, YAML. */
  meshConfig?: string | undefined
  revision?: string | undefined
  nativeSidecars: boolean
}

/**
 * The injection settings of files, read again when one was replaced. Throws when they can't be read at first; later a broken
 * file is told, and the settings before it stay.
 */
export async function followSettings(files: SettingsFiles, logger: Logger): Promise<() => Promise<InjectionSettings>> {
  let stamp = await stampOf(files)
  let current = await read(files)
  return async () => {
    const found = await stampOf(files).catch(() => stamp)
    if (found === stamp) return current
    try {
      current = await read(files)
      logger.info('the injection settings have changed')
    } catch (thrown) {
      logger.error(`the injection settings stay as they were: ${WeftError.from(thrown).describe()}`)
    }
    stamp = found
    return current
  }
}

async function read({ values, meshConfig, revision, nativeSidecars }: SettingsFiles): Promise<InjectionSettings> {
  const parsed = async (file: string | undefined): Promise<unknown> =>
    file === undefined ? {} : parseSettings(await readFile(file, 'utf8'), file)
  return injectionSettings({
    values: await parsed(values),
    mesh: await parsed(meshConfig),
    nativeSidecars,
    ...(revision === undefined ? {} : { revision }),
  })
}

/** Changes with each replacement of a file, that of a whole ConfigMap included. */
async function stampOf({ values, meshConfig }: SettingsFiles): Promise<string> {
  const stamps = [values, meshConfig]
    .filter((file) => file !== undefined)
    .map(async (file) => {
      const { mtimeMs, ino, size } = await stat(file)
      return `${ino} ${mtimeMs} ${size}`
    })
  return (await Promise.all(stamps)).join(' ')
}
