const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/

/** Reads an RFC 3339 time (`2015-01-02T15:04:35Z`, `…35.25+02:00`); undefined when it is none or names no real day. */
export function parseTimestamp(text: string): Date | undefined {
  const match = RFC3339.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number)
  if (year === undefined || month === undefined || day === undefined) return undefined
  if (hour === undefined || minute === undefined || second === undefined) return undefined
  const ms = Math.floor(Number(`0.${match[7] ?? '0'}`) * 1000)
  const offsetHour = Number(match[9] ?? '0')
  const offsetMinute = Number(match[10] ?? '0')
  if (hour > 23 || minute > 59 || second > 59 || offsetHour > 24 || offsetMinute > 59) return undefined
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined
  date.setUTCHours(hour, minute, second, ms)
  const offsetMs = (match[8] === '-' ? -1 : 1) * (offsetHour * 60 + offsetMinute) * 60_000
  return new Date(date.getTime() - offsetMs)
}
