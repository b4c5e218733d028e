import { wallTime } from '../stream-record.ts'

/** Gives a time (wall clock, ms) as text. */
export type TimeFormat = (ms: number) => string

/** Formats made in the same millisecond are the same text: on the request path one is made a millisecond at most. */
let lastMs = -1
let lastText = ''

/** Envoy's default: ISO 8601 with milliseconds, UTC. */
export function isoTime(ms: number): string {
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

/** Compiles a strftime format with Envoy's additions: `%f`, `%1f` … `%9f` parts of a second, `%s` seconds. UTC. */
export function compileTimeFormat(format: string): TimeFormat {
  if (format === '') return isoTime
  const parts: TimeFormat[] = []
  for (const match of format.matchAll(/%(\d?)f|%([a-zA-Z%])|([^%]+|%)/g)) {
    const [whole, digits, code, literal] = match
    if (digits !== undefined) {
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
    case 'b':
    case 'h':
      return with_((d) => months[d.getUTCMonth()]!)
    case 'j':
      return with_((d) => pad(Math.floor((d.getTime() - Date.UTC(d.getUTCFullYear(), 0, 1)) / 86_400_000) + 1, 3))
    case 'F':
      return with_((d) => d.toISOString().slice(0, 10))
    case 'T':
      return with_((d) => d.toISOString().slice(11, 19))
    case 'D':
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
export function httpDate(): Buffer {
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
