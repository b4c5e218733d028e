import { availableParallelism } from 'node:os'
import { WeftError } from '@weft/service/errors'
import { type LogLevel, parseLogLevel } from './log.ts'

/** What the command line asks for; the flags are Envoy's. */
export interface ProxyFlags {
  mode: 'serve' | 'validate'
  configPath: string
  configYaml: string
  concurrency: number
  logLevel: LogLevel
  componentLogLevels: Map<string, LogLevel>
  logPath: string | undefined
  logFormat: string | undefined
  serviceNode: string
  serviceCluster: string
  serviceZone: string
  drainTimeMs: number
  drainStrategy: 'gradual' | 'immediate'
  parentShutdownTimeMs: number
  adminAddressPath: string
  restartEpoch: number
  baseId: number
  baseIdPath: string
  allowUnknownStaticFields: boolean
  rejectUnknownDynamicFields: boolean
  ignoreUnknownDynamicFields: boolean
  skipDeprecatedLogs: boolean
  disableHotRestart: boolean
  statsTags: { name: string; value: string }[]
  /** As given, for `/server_info`. */
  given: Record<string, string>
}

/** What to do instead of running: print a text and end. */
export interface PrintAndEnd {
  print: string
}

interface FlagEntry {
  /** Undefined: a switch. */
  value: string | undefined
  help: string
  short?: string
}

const entries: Record<string, FlagEntry> = {
  'config-path': { value: 'string', help: 'Path to the configuration file', short: 'c' },
  'config-yaml': { value: 'string', help: 'Configuration in YAML, merged over that of --config-path' },
  mode: { value: 'string', help: "'serve' (default) or 'validate' (check the configuration and end)" },
  concurrency: { value: 'uint32', help: '# of worker threads; default: the cores this process may use' },
  'log-level': { value: 'string', help: 'trace, debug, info (default), warning, error, critical or off', short: 'l' },
  'component-log-level': { value: 'string', help: 'Levels of components, such as upstream:debug,config:trace' },
  'log-path': { value: 'string', help: 'Path to the log file; default: standard error' },
  'log-format': { value: 'string', help: 'Pattern of log lines, in the syntax of spdlog' },
  'log-format-escaped': { value: undefined, help: 'Escape C-style sequences in the log (always so here)' },
  'service-node': { value: 'string', help: "Node id, over the configuration's" },
  'service-cluster': { value: 'string', help: "Node cluster, over the configuration's" },
  'service-zone': { value: 'string', help: "Zone of the node's locality" },
  'drain-time-s': { value: 'uint32', help: 'Time for connections to drain (600)' },
  'drain-strategy': { value: 'string', help: "'gradual' (default) or 'immediate'" },
  'parent-shutdown-time-s': { value: 'uint32', help: 'Accepted: what ends the proxy before this one is its SIGTERM' },
  'admin-address-path': { value: 'string', help: 'File to write the admin address to' },
  'restart-epoch': { value: 'uint32', help: 'Above 0: another proxy runs with this configuration, and hands over as it ends' },
  'base-id': { value: 'uint32', help: 'Accepted; there is no hot restart' },
  'use-dynamic-base-id': { value: undefined, help: 'Accepted; there is no hot restart' },
  'base-id-path': { value: 'string', help: 'File to write the base id to' },
  'disable-hot-restart': { value: undefined, help: 'Accepted; there is no hot restart' },
  'hot-restart-version': { value: undefined, help: 'Print the hot restart version and end' },
  'skip-hot-restart-on-no-parent': { value: undefined, help: 'Accepted; there is no hot restart' },
  'skip-hot-restart-parent-stats': { value: undefined, help: 'Accepted; there is no hot restart' },
  'allow-unknown-fields': { value: undefined, help: 'Same as --allow-unknown-static-fields' },
  'allow-unknown-static-fields': { value: undefined, help: 'Take unknown fields in the bootstrap' },
  'reject-unknown-dynamic-fields': { value: undefined, help: 'Reject xDS resources with unknown fields' },
  'ignore-unknown-dynamic-fields': { value: undefined, help: 'Say nothing of unknown fields in xDS resources' },
  'skip-deprecated-logs': { value: undefined, help: 'Say nothing of deprecated fields' },
  'stats-tag': { value: 'string', help: 'tag:value on all stats; may be repeated' },
  'file-flush-interval-msec': { value: 'uint32', help: 'Accepted: access logs flush themselves' },
  'file-flush-min-size-kb': { value: 'uint32', help: 'Accepted: access logs flush themselves' },
  'local-address-ip-version': { value: 'string', help: 'v4 (default) or v6' },
  'cpuset-threads': { value: undefined, help: 'Default the worker threads to the cpuset (always so here)' },
  version: { value: undefined, help: 'Print the version and end' },
  help: { value: undefined, help: 'Print this help and end', short: 'h' },
}

/**
 * Reads the command line. A flag that this proxy lacks, and a value that a flag can't take, throw WeftError with the
 * flag's name.
 */
export function parseFlags(argv: readonly string[], version: string): ProxyFlags | PrintAndEnd {
  const given = readArguments(argv)
  const text = (name: string, otherwise = ''): string => given.get(name)?.at(-1) ?? otherwise
  const has = (name: string): boolean => given.has(name)
  const number = (name: string, otherwise: number): number => {
    const value = given.get(name)?.at(-1)
    if (value === undefined) return otherwise
    if (!/^\d{1,10}$/.test(value) || Number(value) > 0xffff_ffff)
      throw bad(name, `'${value}' is not a whole number of at most 4294967295`)
    return Number(value)
  }
  const oneOf = <T extends string>(name: string, choices: readonly T[], otherwise: T): T => {
    const value = text(name, otherwise)
    const chosen = choices.find((choice) => choice === value)
    if (chosen === undefined) throw bad(name, `unknown ${name.replaceAll('-', ' ')} '${value}'`, choices.join(', '))
    return chosen
  }

  if (has('help')) return { print: help() }
  if (has('version')) return { print: `weft-proxy  version: ${version}` }
  if (has('hot-restart-version')) return { print: 'disabled' }

  return {
    mode: oneOf('mode', ['serve', 'validate'], 'serve'),
    configPath: text('config-path'),
    configYaml: text('config-yaml'),
    concurrency: Math.max(1, Math.min(number('concurrency', availableParallelism()), 256)),
    logLevel: levelOf('log-level', text('log-level', 'info')),
    componentLogLevels: new Map(
      text('component-log-level')
        .split(',')
        .filter((pair) => pair !== '')
        .map((pair) => {
          const [component = '', level = ''] = pair.split(':')
          return [component, levelOf('component-log-level', level)]
        }),
    ),
    logPath: has('log-path') ? text('log-path') : undefined,
    logFormat: has('log-format') ? text('log-format') : undefined,
    serviceNode: text('service-node'),
    serviceCluster: text('service-cluster'),
    serviceZone: text('service-zone'),
    drainTimeMs: number('drain-time-s', 600) * 1000,
    drainStrategy: oneOf('drain-strategy', ['gradual', 'immediate'], 'gradual'),
    parentShutdownTimeMs: number('parent-shutdown-time-s', 900) * 1000,
    adminAddressPath: text('admin-address-path'),
    restartEpoch: number('restart-epoch', 0),
    baseId: number('base-id', 0),
    baseIdPath: text('base-id-path'),
    allowUnknownStaticFields: has('allow-unknown-fields') || has('allow-unknown-static-fields'),
    rejectUnknownDynamicFields: has('reject-unknown-dynamic-fields'),
    ignoreUnknownDynamicFields: has('ignore-unknown-dynamic-fields'),
    skipDeprecatedLogs: has('skip-deprecated-logs'),
    disableHotRestart: has('disable-hot-restart'),
    statsTags: (given.get('stats-tag') ?? []).map((pair) => {
      const at = pair.indexOf(':')
      const [name, value] = [pair.slice(0, Math.max(at, 0)), pair.slice(at + 1)]
      if (!/^\w+$/.test(name) || value === '' || value.includes('.')) throw bad('stats-tag', `'${pair}' is not tag:value`)
      return { name, value }
    }),
    given: Object.fromEntries([...given].map(([name, values]) => [name, values.join(',')])),
  }
}

/** Flags by their long name with the values given, in order. */
function readArguments(argv: readonly string[]): Map<string, string[]> {
  const given = new Map<string, string[]>()
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? ''
    if (argument === '--') break
    const long = /^--(?<name>[\w-]+)(?:=(?<value>[\s\S]*))?$/.exec(argument)?.groups
    const short = /^-(?<name>[a-z])(?<value>.+)?$/s.exec(argument)?.groups
    const name = long?.['name'] ?? Object.keys(entries).find((each) => entries[each]?.short === short?.['name'])
    const entry = name === undefined ? undefined : entries[name]
    if (name === undefined || entry === undefined)
      throw new WeftError('invalid_argument', `this proxy has no flag ${argument.split('=')[0]}`, { hint: 'see --help' })
    let value = long?.['value'] ?? short?.['value']
    if (entry.value === undefined) {
      if (value !== undefined) throw bad(name, 'takes no value')
      value = ''
    } else if (value === undefined) {
      value = argv[++at]
      if (value === undefined) throw bad(name, 'needs a value')
    }
    given.set(name, [...(given.get(name) ?? []), value])
  }
  return given
}

function levelOf(flag: string, word: string): LogLevel {
  const level = parseLogLevel(word)
  if (level === undefined) throw bad(flag, `unknown log level '${word}'`, 'trace, debug, info, warning, error, critical, off')
  return level
}

function bad(flag: string, message: string, hint?: string): WeftError {
  return new WeftError('invalid_argument', `--${flag}: ${message}`, { hint })
}

function help(): string {
  const lines = Object.entries(entries).map(([name, { value, help, short }]) => {
    const form = `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` <${value}>`}`
    return `  ${form.padEnd(36)} ${help}`
  })
  return `weft-proxy: a sidecar and gateway that takes Envoy's configuration\n\nUSAGE: weft-proxy [flags]\n\n${lines.join('\n')}`
}
