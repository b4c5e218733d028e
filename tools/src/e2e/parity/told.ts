import type { Ports } from './case.ts'
import type { WireMessage } from './message-reader.ts'
import type { TurnResult } from './wire.ts'

/** Ports by their names, and dates, ids and durations by what they are. */
export function folding(ports: Ports): (text: string) => string {
  const byPort = new Map(Object.entries(ports).map(([name, port]) => [String(port), name]))
  const anyPort = new RegExp(`(?<![\\d.])(${[...byPort.keys()].join('|')})(?!\\d)`, 'g')
  return (text) =>
    text
      // Addresses that sessions carry along.
      .replace(/(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{16,}={0,2}/g, (coded) => {
        const address = /127\.0\.0\.1:\d+/.exec(Buffer.from(coded, 'base64').toString('latin1'))
        return address === null ? coded : `<base64 of ${address[0]}>`
      })
      .replace(anyPort, (port) => `<${byPort.get(port)}>`)
      .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '<uuid>')
      .replace(/[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT/g, '<date>')
      // Edits of headers may have put others' times, and other things, beside the proxy's own.
      .replace(
        /(x-envoy-upstream-service-time: )([^\r\n]*)/gi,
        (_, name: string, value: string) => name + value.replaceAll(/(?<=^|,)\d+(?=,|$)/g, '<ms>'),
      )
      // What is left of a time limit at a later try: of a long one, more is used up on a busy machine.
      .replace(/(x-envoy-expected-rq-timeout-ms: )(\d{3,})/g, (_, name, ms) => {
        const step = Number(ms) > 5000 ? 5000 : 100
        return `${name}≤ ${Math.ceil(Number(ms) / step) * step}`
      })
      .replace(/127\.0\.0\.1:\d{5}/g, '127.0.0.1:<client>')
}

/** What a client's turn came to. */
export function describe(result: TurnResult, fold: (text: string) => string): string[] {
  const lines = [
    ...(result.tls ?? []).map((fact) => `client: TLS ${fact}`),
    ...result.answers.flatMap((message) => told(message, fold, 'client')),
  ]
  if (result.rest !== '') lines.push(`client: rest ${fold(JSON.stringify(result.rest))}`)
  lines.push(`client: ${result.end}`)
  return lines
}

/** One message, its headers sorted: their order means nothing between different names. */
export function told(message: WireMessage, fold: (text: string) => string, who: string): string[] {
  const headers = message.headers.map(([name, value]) => fold(`${name}: ${value}`)).sort()
  const body = message.body.length > 400 ? `${message.body.length} bytes` : fold(message.body)
  return [
    `${who}: ${fold(message.start)}${message.complete ? '' : ' (incomplete)'}`,
    ...headers.map((line) => `${who}:   ${line}`),
    ...(body === '' ? [] : [`${who}:   body ${JSON.stringify(body)}`]),
    ...message.trailers.map((line) => `${who}:   trailer ${line}`),
  ]
}
