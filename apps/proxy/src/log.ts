import { closeSync, openSync, writeSync } from 'node:fs'
import { WeftError } from '@weft/service/errors'

/** Envoy's log levels, from most to least talkative. */
export const logLevels = ['trace', 'debug', 'info', 'warning', 'error', 'critical', 'off'] as const
export type LogLevel = (typeof logLevels)[number]

/** A level by name; `warn` is the other name of `warning`. Undefined for a word that is no level. */
export function parseLogLevel(text: string): LogLevel | undefined {
  return text === 'warn' ? 'warning' : logLevels.find((level) => level === text)
}

/** The loggers that `/logging` lists and sets; the names are Envoy's where it has them. */
const components = [
  'admin', 'client', 'config', 'connection', 'filter', 'grpc', 'hc', 'health_checker', 'http', 'http2', 'init', 'jwt',
  'main', 'misc', 'pool', 'rbac', 'router', 'runtime', 'secret', 'stats', 'tracing', 'upstream', 'worker',
] as const // biome-ignore format: a list reads better in a few lines
export type Component = (typeof components)[number]

/** Envoy's further loggers: known, so that what sets their levels goes on doing so, though nobody writes here. */
const silent = [
  'a2a', 'ai_protocol_manager', 'alternate_protocols_cache', 'assert', 'aws', 'backtrace', 'basic_auth', 'cache_filter',
  'compression', 'conn_handler', 'credential_injector', 'decompression', 'dns', 'dubbo', 'dynamic_modules', 'envoy_bug',
  'ext_authz', 'ext_proc', 'file', 'forward_proxy', 'geolocation', 'golang', 'happy_eyeballs', 'hystrix', 'io', 'ip_tagging',
  'json_rpc', 'kafka', 'key_value_store', 'local_rate_limit', 'lua', 'matcher', 'mcp', 'mongo', 'multi_connection',
  'notification', 'oauth2', 'quic', 'quic_stream', 'rate_limit_quota', 'rds', 'redis', 'rocketmq', 'sse', 'stats_sinks', 'tap',
  'testing', 'thrift', 'udp', 'wasm', 'websocket',
] // biome-ignore format: a list reads better in a few lines

/** Where a component writes what it does. */
export interface ComponentLog {
  readonly level: LogLevel
  enabled(level: LogLevel): boolean
  trace(message: string): void
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
  critical(message: string): void
}

export interface ProxyLogOptions {
  level: LogLevel
  /** Levels of single components, over `level`. */
  componentLevels?: ReadonlyMap<string, LogLevel>
  /** A file instead of standard error. */
  path?: string
  /** spdlog's pattern syntax; Envoy's default when undefined. */
  format?: string
  now?: () => Date
}

/** The proxy's own log: one line an event in Envoy's format, or in a pattern of the operator's. */
export class ProxyLog {
  readonly #levels = new Map<string, LogLevel>()
  #format: string
  readonly #path: string | undefined
  readonly #now: () => Date
  #fd = 2

  constructor(options: ProxyLogOptions) {
    for (const component of [...components, ...silent].sort())
      this.#levels.set(component, options.componentLevels?.get(component) ?? options.level)
    this.#format = options.format ?? '[%Y-%m-%d %T.%e][%t][%l][%n] %v'
    this.#path = options.path
    this.#now = options.now ?? (() => new Date())
    this.reopen()
  }

  /** The log of one component. */
  of(component: Component): ComponentLog {
    const write = (level: LogLevel) => (message: string) => this.write(component, level, message)
    const levelOf = (): LogLevel => this.#levels.get(component) ?? 'info'
    return {
      get level() {
        return levelOf()
      },
      enabled: (level) => atLeast(level, levelOf()),
      trace: write('trace'),
      debug: write('debug'),
      info: write('info'),
      warn: write('warning'),
      error: write('error'),
      critical: write('critical'),
    }
  }

  write(component: string, level: LogLevel, message: string): void {
    if (!atLeast(level, this.#levels.get(component) ?? this.#levels.get('main') ?? 'info')) return
    const line = formatLine(this.#format, this.#now(), component, level, message.replaceAll('\n', '\\n'))
    try {
      writeSync(this.#fd, `${line}\n`)
    } catch {
      // A log that cannot be written (closed pipe, full disk) must not stop traffic.
    }
  }

  levels(): ReadonlyMap<string, LogLevel> {
    return this.#levels
  }

  /** From now on lines are written by this pattern. */
  setFormat(format: string): void {
    this.#format = format
  }

  /** Sets the level of one component, or of all. */
  setLevel(component: string | 'all', level: LogLevel): void {
    if (component !== 'all') this.#levels.set(component, level)
    else for (const name of this.#levels.keys()) this.#levels.set(name, level)
  }

  /** Opens the log file anew, after it was moved away. */
  reopen(): void {
    if (this.#path === undefined) return
    let fd: number
    try {
      fd = openSync(this.#path, 'a')
    } catch (error) {
      throw new WeftError('unavailable', `unable to open log file: ${WeftError.from(error).message}`, {
        where: { file: this.#path },
        hint: 'choose another one with --log-path',
      })
    }
    if (this.#fd !== 2) closeSync(this.#fd)
    this.#fd = fd
  }
}

function atLeast(level: LogLevel, least: LogLevel): boolean {
  return least !== 'off' && logLevels.indexOf(level) >= logLevels.indexOf(least)
}

/** The flags of spdlog's patterns that people use; others stand as they are written. */
function formatLine(format: string, now: Date, component: string, level: LogLevel, message: string): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const three = (value: number): string => String(value).padStart(3, '0')
  return format.replace(/%([a-zA-Z%#@!])/g, (whole, flag: string) => {
    switch (flag) {
      case 'Y':
        return String(now.getUTCFullYear())
      case 'm':
        return two(now.getUTCMonth() + 1)
      case 'd':
        return two(now.getUTCDate())
      case 'H':
        return two(now.getUTCHours())
      case 'M':
        return two(now.getUTCMinutes())
      case 'S':
        return two(now.getUTCSeconds())
      case 'T':
        return `${two(now.getUTCHours())}:${two(now.getUTCMinutes())}:${two(now.getUTCSeconds())}`
      case 'e':
        return three(now.getUTCMilliseconds())
      case 'f':
        return `${three(now.getUTCMilliseconds())}000`
      case 'z':
        return '+00:00'
      case 't':
      case 'P':
        return String(process.pid)
      case 'l':
        return level
      case 'L':
        return level.slice(0, 1).toUpperCase()
      case 'n':
        return component
      case 'j':
        return JSON.stringify(message).slice(1, -1)
      case 'v':
      case '_':
        return message
      case '%':
        return '%'
      case 'g':
      case '#':
      case '@':
      case '!':
        return ''
      default:
        return whole
    }
  })
}
