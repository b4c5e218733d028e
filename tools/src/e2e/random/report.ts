import type { Message } from '../parity/bootstrap.ts'
import { logSeparator } from './formats.ts'
import type { Difference } from './play.ts'
import type { World } from './world.ts'

/** What differs, with the request, the routes that took it and what stands around them. */
export function report(world: World, { about, log, lines }: Difference): string[] {
  const listener = about.split('-')[0] ?? ''
  const unit = world.units.get(listener)?.[Number(about.split('-')[1] ?? -1)]
  const told = [`--- ${about}`]
  if (unit !== undefined) {
    told.push(...(unit.turn.http2 ?? unit.turn.send).map((piece) => `sends ${JSON.stringify(piece)}`))
    for (const { headers } of unit.requests) {
      const asked = headers.find(([name]) => name === 'x-answer')?.[1].split('.') ?? []
      told.push(
        `origins answer ${asked.map((index) => JSON.stringify(world.answers[Number(index)])).join(', then ') || 'as they do'}`,
      )
    }
    const routes = log.flatMap((line) => [...line.matchAll(/route=<([^>]+)>/g)].map((match) => match[1] ?? ''))
    told.push(...log.map((line) => `Envoy logs ${line}`))
    told.push(...configuration(world, listener, new Set(routes)))
  }
  const format = logFormat(world, listener)
  return [
    ...told,
    ...lines.map((line) => (line.startsWith('log: + ') ? `${line} ${differingOperators(format, line, lines)}` : line)),
  ]
}

/** Which operators of a log line gave something else than Envoy's line for the same request. */
function differingOperators(format: readonly string[], ours: string, lines: readonly string[]): string {
  const values = ours.slice('log: + '.length).split(logSeparator)
  const theirs = lines.find((line) => line.startsWith(`log: - ${values[0]?.split(' route=')[0]}`))
  if (theirs === undefined) return ''
  const others = theirs.slice('log: - '.length).split(logSeparator)
  const operators = format.filter((_, index) => values[index] !== others[index])
  return `(${operators.join(' ')})`
}

/** A listener's access log, operator by operator. */
function logFormat(world: World, listener: string): string[] {
  const manager = managerOf(world, listener)
  const [log] = (manager?.['access_log'] ?? []) as {
    typed_config: { log_format: { text_format_source: { inline_string: string } } }
  }[]
  return log?.typed_config.log_format.text_format_source.inline_string.split(logSeparator) ?? []
}

type Manager = Message & { route_config: Table }

function managerOf(world: World, listener: string): Manager | undefined {
  const all = world.bootstrap({}, '/dev/null')['static_resources'] as { listeners: Message[] }
  const found = all.listeners.find(({ name }) => name === listener)
  const [chain] = (found?.['filter_chains'] ?? []) as { filters: { typed_config: Manager }[] }[]
  return chain?.filters[0]?.typed_config
}

interface Table extends Message {
  virtual_hosts: (Message & { routes: Message[] })[]
}

/** The parts of the configuration that routes stand in, a line each. */
function configuration(world: World, listener: string, routes: ReadonlySet<string>): string[] {
  const manager = managerOf(world, listener)
  if (manager === undefined) return []
  const { route_config, http_filters, access_log: _log, '@type': _type, stat_prefix: _prefix, ...options } = manager
  const { virtual_hosts, ...table } = route_config
  const lines = [
    `manager ${JSON.stringify(options)}`,
    `filters ${JSON.stringify(http_filters)}`,
    `table ${JSON.stringify(table)}`,
  ]
  for (const { routes: those, ...host } of virtual_hosts) {
    const taken = those.filter(({ name }) => routes.has(String(name)))
    if (taken.length > 0) lines.push(`host ${JSON.stringify(host)}`, ...taken.map((route) => `route ${JSON.stringify(route)}`))
  }
  return lines
}
