import { wallTime } from '../stream-record.ts'

/** Gives a time (wall clock, ms) as text. */
export type TimeFormat = (ms: number) => string

/** Formats made in the same millisecond are the same text: on the request path one is made a millisecond at most. */
let lastMs = -1
let lastText = ''

/** Envoy's default: ISO 8601 with milliseconds, UTC. */
function isoTime(ms: number): string {
  const whole = Math.floor(ms)
  if (whole === lastMs) return lastText
  lastMs = whole
  lastText = new Date(whole).toISOString()
  return lastText
}

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

function pad(value: number, width: number, fill = '0'): string {
  return String(value).padStart(width, fill)
}

/** Compiles a strftime format with Envoy's additions: `%f`, `%1f` … `%9f` parts of a second, `%s` seconds. */
export function compileTimeFormat(format: string, zone: 'utc' | 'local' = 'utc'): TimeFormat {
  if (zone === 'local') return compileLocalFormat(format)
  if (format === '') return isoTime
  const parts: TimeFormat[] = []
  for (const match of format.matchAll(/%(\d?)f|%E(\d)S|%([a-zA-Z%])|([^%]+|%)/g)) {
    const [whole, digits, places, code, literal] = match
    if (places !== undefined) {
      const count = Number(places)
      parts.push((ms) => {
        const fraction = pad(Math.floor((ms % 1000) * 1e6), 9).slice(0, count)
        return pad(new Date(ms).getUTCSeconds(), 2) + (count === 0 ? '' : `.${fraction}`)
      })
    } else if (digits !== undefined) {
      const count = digits === '' ? 9 : Number(digits)
      parts.push((ms) => pad(Math.floor((ms % 1000) * 1e6), 9).slice(0, count))
    } else if (code !== undefined) parts.push(strftime(code, whole))
    else parts.push(() => literal ?? '')
  }
  return (ms) => {
    let text = ''
    for (const part of parts) text += part(ms)
    return text
  }
}

/** As in UTC, of a time that is moved by the zone's distance; what names the zone or counts seconds is not. */
function compileLocalFormat(format: string): TimeFormat {
  const shifted = (ms: number) => ms - new Date(ms).getTimezoneOffset() * 60_000
  if (format === '') return (ms) => new Date(shifted(ms)).toISOString().replace('Z', offsetText(ms))
  const parts = [...format.matchAll(/%[sZz]|(?:%%|%(?![sZz])|[^%])+/g)].map(([part]): TimeFormat => {
    if (part === '%z') return offsetText
    if (part === '%Z') return zoneName
    const inner = compileTimeFormat(part)
    return part === '%s' ? inner : (ms) => inner(shifted(ms))
  })
  return (ms) => parts.map((part) => part(ms)).join('')
}

/** `+0530`. */
function offsetText(ms: number): string {
  const minutes = -new Date(ms).getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60), 2)}${pad(size % 60, 2)}`
}

function zoneName(ms: number): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(ms)
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? 'UTC'
}

function strftime(code: string, whole: string): TimeFormat {
  const with_ =
    (give: (date: Date) => string): TimeFormat =>
    (ms) =>
      give(new Date(ms))
  switch (code) {
    case 'Y':
      return with_((d) => String(d.getUTCFullYear()))
    case 'y':
      return with_((d) => pad(d.getUTCFullYear() % 100, 2))
    case 'm':
      return with_((d) => pad(d.getUTCMonth() + 1, 2))
    case 'd':
      return with_((d) => pad(d.getUTCDate(), 2))
    case 'e':
      return with_((d) => pad(d.getUTCDate(), 2, ' '))
    case 'H':
      return with_((d) => pad(d.getUTCHours(), 2))
    case 'I':
      return with_((d) => pad(d.getUTCHours() % 12 || 12, 2))
    case 'M':
      return with_((d) => pad(d.getUTCMinutes(), 2))
    case 'S':
      return with_((d) => pad(d.getUTCSeconds(), 2))
    case 'p':
      return with_((d) => (d.getUTCHours() < 12 ? 'AM' : 'PM'))
    case 'a':
      return with_((d) => days[d.getUTCDay()]!)
    case 'A':
      return with_((d) => d.toLocaleDateString('en-US', { weekday: 'long', timeZone: 'UTC' }))
    case 'B':
      return with_((d) => d.toLocaleDateString('en-US', { month: 'long', timeZone: 'UTC' }))
    case 'u':
      return with_((d) => String(d.getUTCDay() || 7))
    case 'w':
      return with_((d) => String(d.getUTCDay()))
    case 'C':
      return with_((d) => pad(Math.floor(d.getUTCFullYear() / 100), 2))
    case 'b':
    case 'h':
      return with_((d) => months[d.getUTCMonth()]!)
    case 'j':
      return with_((d) => pad(Math.floor((d.getTime() - Date.UTC(d.getUTCFullYear(), 0, 1)) / 86_400_000) + 1, 3))
    case 'F':
      return with_((d) => d.toISOString().slice(0, 10))
    case 'T':
    case 'X':
      return with_((d) => d.toISOString().slice(11, 19))
    case 'D':
    case 'x':
      return with_((d) => `${pad(d.getUTCMonth() + 1, 2)}/${pad(d.getUTCDate(), 2)}/${pad(d.getUTCFullYear() % 100, 2)}`)
    case 'R':
      return with_((d) => d.toISOString().slice(11, 16))
    case 's':
      return (ms) => String(Math.floor(ms / 1000))
    case 'z':
      return () => '+0000'
    case 'Z':
      return () => 'UTC'
    case '%':
      return () => '%'
    default:
      return () => whole
  }
}

/** The text of the HTTP Date header now; made once a second. */
function httpDate(): Buffer {
  const now = Math.floor(wallTime(performance.now()) / 1000)
  if (now !== dateSecond) {
    dateSecond = now
    dateBytes = Buffer.from(new Date(now * 1000).toUTCString(), 'latin1')
    dateText = dateBytes.latin1Slice()
  }
  return dateBytes
}

/** The same as a string. */
export function httpDateText(): string {
  httpDate()
  return dateText
}

let dateSecond = -1
let dateBytes = Buffer.alloc(0)
let dateText = ''
