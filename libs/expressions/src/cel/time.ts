import { CelDuration, CelError, type CelResult, CelTimestamp } from './values.ts'

const second = 1_000_000_000n
const units: Readonly<Record<string, bigint>> = {
  h: 3600n * second,
  m: 60n * second,
  s: second,
  ms: 1_000_000n,
  us: 1_000n,
  ns: 1n,
}

/** Durations reach as far as protobuf's: about ten thousand years. */
const longest = 315_576_000_000n * second

/** Reads `1h1.5m`; undefined for what is no duration. */
export function parseDuration(text: string): CelDuration | undefined {
  const sign = text.startsWith('-') ? -1n : 1n
  const rest = text.replace(/^[+-]/, '')
  if (rest === '0') return new CelDuration(0n)
  if (!/^(?:(?:\d{1,12}(?:\.\d*)?|\.\d+)(?:h|ms|m|s|us|ns))+$/.test(rest)) return undefined
  let total = 0n
  for (const [, whole = '', fraction = '', unit = ''] of rest.matchAll(/(\d*)(?:\.(\d*))?(h|ms|m|s|us|ns)/g)) {
    const size = units[unit] ?? 0n
    const digits = fraction.slice(0, 15)
    total += BigInt(whole || 0) * size + (BigInt(digits || 0) * size) / 10n ** BigInt(digits.length)
  }
  return total > longest ? undefined : new CelDuration(sign * total)
}

/** Writes a duration in its largest units: `1h1m1.5s`, `1.5ms`, `0`. */
export function formatDuration({ nanoseconds }: CelDuration): string {
  if (nanoseconds === 0n) return '0'
  const sign = nanoseconds < 0n ? '-' : ''
  let rest = nanoseconds < 0n ? -nanoseconds : nanoseconds
  for (const unit of ['ns', 'us', 'ms'] as const) {
    const size = units[unit] ?? 1n
    if (rest < size * 1000n) return `${sign}${withFraction(rest, size)}${unit}`
  }
  let text = sign
  for (const unit of ['h', 'm'] as const) {
    const size = units[unit] ?? 1n
    if (rest >= size) text += `${rest / size}${unit}`
    rest %= size
  }
  return rest === 0n ? text : `${text}${withFraction(rest, second)}s`
}

function withFraction(value: bigint, size: bigint): string {
  const digits = String(size).length - 1
  const fraction = String(value % size)
    .padStart(digits, '0')
    .replace(/0+$/, '')
  return fraction === '' || digits === 0 ? `${value / size}` : `${value / size}.${fraction}`
}

const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/i

/** Reads an RFC 3339 time; undefined for what is none. */
export function parseTimestamp(text: string): CelTimestamp | undefined {
  const match = rfc3339.exec(text)
  if (match === null) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, secondOfMinute = 0] = match.slice(1, 7).map(Number)
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  const isDay = date.getUTCMonth() === month - 1 && date.getUTCDate() === day
  if (!isDay || hour > 23 || minute > 59 || secondOfMinute > 59) return undefined
  const offset = (match[8] === '-' ? -1 : 1) * (Number(match[9] ?? 0) * 60 + Number(match[10] ?? 0))
  const seconds = date.getTime() / 1000 + hour * 3600 + (minute - offset) * 60 + secondOfMinute
  return new CelTimestamp(BigInt(seconds) * second + BigInt((match[7] ?? '').padEnd(9, '0')))
}

/** Writes a time in UTC: `2020-01-01T00:00:00.5+00:00`. */
export function formatTimestamp({ nanoseconds }: CelTimestamp): string {
  const seconds = floorDivide(nanoseconds, second)
  const fraction = String(nanoseconds - seconds * second)
    .padStart(9, '0')
    .replace(/0+$/, '')
  const date = new Date(Number(seconds) * 1000)
  if (Number.isNaN(date.getTime())) return 'infinite-future'
  const text = date.toISOString().replace(/^\+0*/, '').slice(0, -5)
  return `${text}${fraction === '' ? '' : `.${fraction}`}+00:00`
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a % b < 0n ? quotient - 1n : quotient
}

/** The parts of a time that `getFullYear()` and its kin give, in a time zone's calendar. */
export const timestampParts: Readonly<Record<string, (date: Date) => number>> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDate: (date) => date.getUTCDate(),
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDayOfWeek: (date) => date.getUTCDay(),
  getDayOfYear: (date) =>
    Math.floor(
      (Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()) - Date.UTC(date.getUTCFullYear(), 0, 1)) /
        86_400_000,
    ),
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
  getMilliseconds: (date) => date.getUTCMilliseconds(),
}

/** What `getHours()` and its kin give of a duration: the whole of it in that unit, milliseconds within the second alone. */
export const durationParts: Readonly<Record<string, (nanoseconds: bigint) => bigint>> = {
  getHours: (nanoseconds) => nanoseconds / (3600n * second),
  getMinutes: (nanoseconds) => nanoseconds / (60n * second),
  getSeconds: (nanoseconds) => nanoseconds / second,
  getMilliseconds: (nanoseconds) => (nanoseconds % second) / 1_000_000n,
}

/** A part of a time; `zone` is an offset (`+02:30`) or a name (`Europe/Berlin`). */
export function timestampPart(name: string, time: CelTimestamp, zone: string): CelResult {
  const ms = Number(floorDivide(time.nanoseconds, 1_000_000n))
  const offset = offsetMinutes(zone, ms)
  const part = timestampParts[name]
  if (offset === undefined || part === undefined) return new CelError(`Invalid timezone: ${zone.slice(0, 100)}`)
  return BigInt(part(new Date(ms + offset * 60_000)))
}

function offsetMinutes(zone: string, ms: number): number | undefined {
  if (zone === '' || zone === 'UTC') return 0
  const fixed = /^([+-]?)(\d\d):(\d\d)$/.exec(zone)
  if (fixed !== null) return (fixed[1] === '-' ? -1 : 1) * (Number(fixed[2]) * 60 + Number(fixed[3]))
  const clock = clockOf(zone)
  if (clock === undefined) return undefined
  const parts = Object.fromEntries(clock.formatToParts(ms).map(({ type, value }) => [type, Number(value)]))
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second: seconds = 0 } = parts
  return Math.round((Date.UTC(year, month - 1, day, hour, minute, seconds) - Math.floor(ms / 1000) * 1000) / 60_000)
}

const clocks = new Map<string, Intl.DateTimeFormat>()
const mostClocks = 64

function clockOf(zone: string): Intl.DateTimeFormat | undefined {
  const known = clocks.get(zone)
  if (known !== undefined) return known
  try {
    const numeric = 'numeric'
    const options = { year: numeric, month: numeric, day: numeric, hour: numeric, minute: numeric, second: numeric } as const
    const clock = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', ...options })
    if (clocks.size >= mostClocks) clocks.clear()
    clocks.set(zone, clock)
    return clock
  } catch {
    return undefined
  }
}
