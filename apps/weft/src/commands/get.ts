import type { ConfigItem } from '@weft/config/pilot-api'
import { WeftError } from '@weft/service/errors'
import { PilotClient, type PilotOptions } from '../clients/pilot.ts'
import { exitCodes } from '../exit-codes.ts'
import { type Terminal, table } from '../terminal.ts'
import { kindOf } from './kinds.ts'

export interface GetOptions extends PilotOptions {
  namespace?: string
  output: 'table' | 'yaml' | 'json'
}

/** `weft get KIND [NAME]`: configuration as Pilot has it, with the file and line where it is written. */
export async function get(kind: string, name: string | undefined, options: GetOptions, terminal: Terminal): Promise<number> {
  const wanted = kind === 'all' ? undefined : kindOf(kind)
  const listed = await PilotClient.of(options).list(wanted, options.namespace)
  const items = name === undefined ? listed : listed.filter((item) => item.name === name)
  if (name !== undefined && items.length === 0) {
    const place = options.namespace === undefined ? 'any namespace' : `namespace ${options.namespace}`
    throw new WeftError('not_found', `there is no ${kind} '${name}' in ${place}`, { hint: `weft get ${kind} lists them` })
  }
  terminal.print(await print(items, options.output))
  return exitCodes.ok
}

async function print(items: readonly ConfigItem[], output: GetOptions['output']): Promise<string> {
  if (output === 'json') return JSON.stringify(items.length === 1 ? items[0]?.value : items.map(({ value }) => value), null, 2)
  if (output === 'yaml') {
    const { stringify } = await import('yaml')
    return items.map(({ value }) => stringify(value).trimEnd()).join('\n---\n')
  }
  if (items.length === 0) return 'nothing found'
  const rows = items.map((item) => [item.kind, item.namespace, item.name, `${item.file}:${item.line}`])
  return table(
    ['KIND', 'NAMESPACE', 'NAME', 'WRITTEN IN'],
    rows.sort((a, b) => a.join('/').localeCompare(b.join('/'))),
  )
}
