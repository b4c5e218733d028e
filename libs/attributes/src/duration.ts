const NANOS_PER_SECOND = 1_000_000_000
/** Go's time.Duration is an int64 of nanoseconds: a little over 292 years. */
const MAX_NANOSECONDS = 9_223_372_036_854_775_807n

const UNIT_NANOSECONDS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  '\u00b5s': 1_000n,
  '\u03bcs': 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}

/** A span of time, exact to the nanosecond; both parts have the same sign, as in google.protobuf.Duration. */
export class Duration {
  readonly seconds: number
  readonly nanos: number

  constructor(seconds: number, nanos = 0) {
    this.seconds = seconds
    this.nanos = nanos
  }

  static fromMilliseconds(ms: number): Duration {
    const seconds = Math.trunc(ms / 1000)
    return new Duration(seconds, Math.round((ms - seconds * 1000) * 1_000_000))
  }

  static fromNanoseconds(nanoseconds: bigint): Duration {
    return new Duration(Number(nanoseconds / 1_000_000_000n), Number(nanoseconds % 1_000_000_000n))
  }

  get milliseconds(): number {
    return this.seconds * 1000 + this.nanos / 1_000_000
  }

  get nanoseconds(): bigint {
    return BigInt(this.seconds) * BigInt(NANOS_PER_SECOND) + BigInt(this.nanos)
  }

  equals(other: Duration): boolean {
    return this.seconds === other.seconds && this.nanos === other.nanos
  }

  /** Negative, zero or positive, as this is shorter than, equal to or longer than the other. */
  compare(other: Duration): number {
    return this.seconds - other.seconds || this.nanos - other.nanos
  }

  /** Go's form: `1h2m3.5s`, `19ms`, `0s`. */
  toString(): string {
    return formatDuration(this.nanoseconds)
  }

  toJSON(): string {
    return this.toString()
  }
}

/**
 * Reads Go's notation (time.ParseDuration): a signed sequence of decimal numbers, each with a unit of
 * ns, us, ms, s, m or h. Gives undefined for anything else, and for what int64 nanoseconds cannot hold.
 */
export function parseDuration(text: string): Duration | undefined {
  if (text.length > 100) return undefined
  const negative = text.startsWith('-')
  const body = negative || text.startsWith('+') ? text.slice(1) : text
  if (body === '0') return new Duration(0)
  if (body === '') return undefined
  const part = /(\d*)(?:\.(\d*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/y
  let nanoseconds = 0n
  while (part.lastIndex < body.length) {
    const match = part.exec(body)
    if (match === null) return undefined
    const [, whole = '', fraction = '', unit = ''] = match
    if (whole === '' && fraction === '') return undefined
    const unitNanoseconds = UNIT_NANOSECONDS[unit] ?? 0n
    nanoseconds += BigInt(whole === '' ? '0' : whole) * unitNanoseconds
    if (fraction !== '') nanoseconds += (BigInt(fraction) * unitNanoseconds) / 10n ** BigInt(fraction.length)
    if (nanoseconds > MAX_NANOSECONDS) return undefined
  }
  return Duration.fromNanoseconds(negative ? -nanoseconds : nanoseconds)
}

function formatDuration(nanoseconds: bigint): string {
  if (nanoseconds === 0n) return '0s'
  const sign = nanoseconds < 0n ? '-' : ''
  const span = nanoseconds < 0n ? -nanoseconds : nanoseconds
  if (span < 1_000n) return `${sign}${span}ns`
  if (span < 1_000_000n) return `${sign}${decimal(span, 1_000n)}\u00b5s`
  if (span < 1_000_000_000n) return `${sign}${decimal(span, 1_000_000n)}ms`
  const hours = span / 3_600_000_000_000n
  const minutes = (span / 60_000_000_000n) % 60n
  const seconds = `${decimal(span % 60_000_000_000n, 1_000_000_000n)}s`
  if (hours > 0n) return `${sign}${hours}h${minutes}m${seconds}`
  return minutes > 0n ? `${sign}${minutes}m${seconds}` : `${sign}${seconds}`
}

/** `value / unit` with as many decimals as it has. */
function decimal(value: bigint, unit: bigint): string {
  const rest = value % unit
  if (rest === 0n) return String(value / unit)
  const digits = String(unit).length - 1
  return `${value / unit}.${String(rest).padStart(digits, '0').replace(/0+$/, '')}`
}
