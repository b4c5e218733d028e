const nanosByUnit: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}
const longest = 315_576_000_000n * 1_000_000_000n

/** Nanoseconds of a Go duration (`1h30m`, `0.5s`, `100ms`, `0`); undefined when it is none. */
export function parseDuration(text: string): bigint | undefined {
  const sign = /^[+-]?/.exec(text)?.[0] ?? ''
  const body = text.slice(sign.length)
  if (body === '0') return 0n
  if (body === '' || body.length > 100) return undefined
  const part = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y
  let total = 0n
  while (part.lastIndex < body.length) {
    const match = part.exec(body)
    if (match === null) return undefined
    const [, whole = '', fraction = '', unit = ''] = match
    if (whole === '' && fraction === '') return undefined
    const nanos = nanosByUnit[unit]!
    total += BigInt(whole === '' ? '0' : whole) * nanos
    if (fraction !== '') total += (BigInt(fraction) * nanos) / 10n ** BigInt(fraction.length)
  }
  if (total > longest) return undefined
  return sign === '-' ? -total : total
}

/** The form that protobuf's JSON takes: `1.5s`. */
export function durationJson(nanos: bigint): string {
  const positive = nanos < 0n ? -nanos : nanos
  const fraction = String(positive % 1_000_000_000n).padStart(9, '0')
  return `${nanos < 0n ? '-' : ''}${positive / 1_000_000_000n}.${fraction}s`
}
