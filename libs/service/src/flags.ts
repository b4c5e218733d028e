import { Command, InvalidArgumentError, Option } from 'commander'

/** One command-line option of a service: `--grpc-address`, or in the environment `WEFT_GRPC_ADDRESS`. */
export interface Flag {
  /** Commander's syntax: `--name <value>`, `--switch`, `--many <value...>`. */
  flags: string
  description: string
  default?: string | boolean | number | string[]
  choices?: readonly string[]
  required?: boolean
  parse?: (value: string) => unknown
}

/**
 * Reads a service's flags. Each one may also come from the environment as `WEFT_` and its name in capitals; the command
 * line wins. An unknown flag or a bad value is told in one line and ends the process with code 2.
 */
export function readFlags<T>(
  name: string,
  description: string,
  flags: readonly Flag[],
  argv: readonly string[] = process.argv,
): T {
  const command = new Command(name).description(description).showHelpAfterError(`(${name} --help lists the flags)`)
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  for (const flag of flags) {
    const option = new Option(flag.flags, flag.description)
    option.env(`WEFT_${option.name().replaceAll('-', '_').toUpperCase()}`)
    if (flag.default !== undefined) option.default(flag.default)
    if (flag.choices !== undefined) option.choices(flag.choices)
    if (flag.parse !== undefined) option.argParser(refusing(flag.parse))
    if (flag.required) option.makeOptionMandatory()
    command.addOption(option)
  }
  return command.parse([...argv]).opts<T & Record<string, unknown>>()
}

/** What a parser throws becomes commander's own error, which names the flag and ends in one line. */
function refusing(parse: (value: string) => unknown): (value: string) => unknown {
  return (value) => {
    try {
      return parse(value)
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error))
    }
  }
}

/** A time as `90s`, `15m`, `24h`, `7d` or several together (`1h30m`), within bounds; gives seconds, for `Flag.parse`. */
export function durationSeconds(least: number, most: number): (value: string) => number {
  const seconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }
  return (value) => {
    if (!/^(\d{1,9}[smhd])+$/.test(value)) throw new Error('must be a time such as 90s, 15m, 24h or 1h30m')
    let total = 0
    for (const [, amount, unit = ''] of value.matchAll(/(\d+)([smhd])/g)) total += Number(amount) * (seconds[unit] ?? 0)
    if (total < least || total > most) throw new Error(`must be from ${least}s to ${most}s`)
    return total
  }
}

/** A port or another whole number within bounds, for `Flag.parse`. */
export function wholeNumber(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < least || number > most)
      throw new Error(`must be a whole number from ${least} to ${most}`)
    return number
  }
}

/** `host:port` split; an IPv6 host stands in brackets. Throws with the text when it is neither. */
export function parseAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^:\s]*)):(?<port>\d{1,5})$/.exec(text)
  const port = Number(match?.groups?.['port'])
  if (match === null || port > 65_535) throw new Error(`'${text}' is not host:port`)
  return { host: match.groups?.['v6'] ?? (match.groups?.['host'] || '0.0.0.0'), port }
}
