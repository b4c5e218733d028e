import { readFile } from 'node:fs/promises'
import { isRecord } from '@weft/config/document'
import { setValue } from '@weft/inject/set-value'
import { type InjectionSettings, injectionSettings, parseSettings } from '@weft/inject/settings'
import { WeftError } from '@weft/service/errors'

export interface SettingsOptions {
  values?: string
  set: string[]
  meshConfig?: string
  revision?: string
  nativeSidecars: boolean
}

/**
 * How pods are to be injected, by the command's options; `more` are values that `--set` takes besides. Throws `invalid_argument`
 * with what is wrong where.
 */
export async function readSettings(options: SettingsOptions, more: Record<string, unknown> = {}): Promise<InjectionSettings> {
  const known = mergeKnown(injectionSettings().values, more)
  const fromFile = options.values === undefined ? {} : parseSettings(await read(options.values), options.values)
  const values = options.set.reduce((before: unknown, assignment) => setValue(before, assignment, known), fromFile)
  const mesh = options.meshConfig === undefined ? {} : parseSettings(await read(options.meshConfig), options.meshConfig)
  const { revision, nativeSidecars } = options
  return injectionSettings({ values, mesh, nativeSidecars, ...(revision === undefined ? {} : { revision }) })
}

function mergeKnown(known: Record<string, unknown>, more: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...known }
  for (const [key, value] of Object.entries(more)) {
    const before = merged[key]
    merged[key] = isRecord(before) && isRecord(value) ? mergeKnown(before, value) : value
  }
  return merged
}

/** A file that an option names. */
export async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WeftError('not_found', `cannot be read: ${WeftError.from(cause).message}`, { where: { file }, cause })
  })
}
