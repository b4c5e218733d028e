/** A message as it stands on the wire, cut by the plainest reading of RFC 9112: a check on ours that shares none of its code. */
export interface WireMessage {
  start: string
  headers: [name: string, value: string][]
  body: string
  trailers: string[]
  complete: boolean
}

/**
 * Cuts messages out of what has come so far. `bodiless` says of a message's first line that no body follows (HEAD, 204);
 * `untilEnd`: without a length the body goes on to the connection's end (answers), otherwise there is none (requests). `limit`: no more messages than this.
 */
export function cutMessages(
  bytes: string,
  bodiless: (start: string, index: number) => boolean,
  untilEnd: boolean,
  ended: boolean,
  limit = Number.POSITIVE_INFINITY,
): { messages: WireMessage[]; rest: string } {
  const messages: WireMessage[] = []
  let rest = bytes
  while (rest !== '' && messages.length < limit) {
    const behind = rest.indexOf('\r\n\r\n')
    if (behind < 0) break
    const [start = '', ...lines] = rest.slice(0, behind).split('\r\n')
    const message: WireMessage = { start, headers: lines.map(splitLine), body: '', trailers: [], complete: false }
    messages.push(message)
    rest = readBody(message, rest.slice(behind + 4), bodiless(start, messages.length - 1), untilEnd, ended)
    if (!message.complete) break
  }
  return { messages, rest }
}

function splitLine(line: string): [string, string] {
  const colon = line.indexOf(':')
  return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).trim()]
}

/** Sets body and `complete`; gives what is left. */
function readBody(message: WireMessage, rest: string, bodiless: boolean, untilEnd: boolean, ended: boolean): string {
  const header = (name: string): string | undefined => message.headers.find(([key]) => key.toLowerCase() === name)?.[1]
  if (bodiless) {
    message.complete = true
    return rest
  }
  if (header('transfer-encoding') !== undefined) return readChunks(message, rest)
  const length = header('content-length')
  if (length !== undefined) {
    message.body = rest.slice(0, Number(length))
    message.complete = message.body.length === Number(length)
    return rest.slice(message.body.length)
  }
  if (!untilEnd) {
    message.complete = true
    return rest
  }
  message.body = rest
  message.complete = ended
  return ''
}

function readChunks(message: WireMessage, bytes: string): string {
  let rest = bytes
  for (;;) {
    const match = /^([0-9a-fA-F]+)[^\r\n]*\r\n/.exec(rest)
    if (match === null) return rest
    const size = Number.parseInt(match[1] ?? '0', 16)
    const data = rest.slice(match[0].length)
    if (size === 0) {
      const end = data.startsWith('\r\n') ? 0 : data.indexOf('\r\n\r\n') + 2
      if (end === 1) return rest
      message.trailers = data.slice(0, end).split('\r\n').filter(Boolean)
      message.complete = true
      return data.slice(end + 2)
    }
    if (data.length < size + 2) {
      message.body += data.slice(0, size)
      return ''
    }
    message.body += data.slice(0, size)
    rest = data.slice(size + 2)
  }
}
