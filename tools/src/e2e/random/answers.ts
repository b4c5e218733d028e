import type { OriginAnswer } from '../parity/case.ts'
import type { WireMessage } from '../parity/message-reader.ts'
import type { Choice } from './choice.ts'
import { answerChoices } from './requests.ts'

type Header = readonly [name: string, value: string]

const headers: readonly Header[] = [
  ['x-r', 'one'],
  ['x-r', 'r2'],
  ['X-R', ''],
  ['server', 'origin'],
  ['date', 'Mon, 01 Jan 2024 00:00:00 GMT'],
  ['content-type', 'text/plain'],
  ['content-type', 'application/grpc'],
  ['set-cookie', 'c=1; path=/'],
  ['set-cookie', 'd=2'],
  ['cache-control', 'no-cache'],
  ['vary', 'origin'],
  ['grpc-status', '0'],
  ['grpc-status', '14'],
  ['grpc-message', 'no%20luck'],
  ['retry-after', '0'],
  ['x-envoy-ratelimited', 'true'],
  ['x-envoy-overloaded', 'true'],
  ['x-envoy-degraded', 'true'],
  ['x-envoy-immediate-health-check-fail', 'true'],
  ['x-envoy-decorator-operation', 'theirs'],
  ['x-envoy-upstream-service-time', '9'],
  ['x-envoy-upstream-canary', 'true'],
  ['x-envoy-attempt-count', '7'],
  ['via', '1.1 origin'],
  ['connection', 'keep-alive'],
  ['connection', 'x-r'],
  ['proxy-status', 'origin; error=x'],
  ['access-control-allow-origin', '*'],
  ['x-request-id', 'theirs'],
]

const statuses = [200, 200, 200, 200, 201, 204, 206, 304, 400, 403, 404, 409, 418, 429, 500, 502, 503, 503, 504, 599] as const

/** The answers that an origin of a seed gives; which one, a request's `x-answer` says. */
export function originAnswers(choice: Choice): OriginAnswer[] {
  return Array.from({ length: answerChoices }, () => answer(choice))
}

function answer(choice: Choice): OriginAnswer {
  const sent = choice.some(headers, 3)
  if (choice.chance(4)) return { raw: '', after: choice.pick(['close', 'reset']) }
  if (choice.chance(4)) return { headers: sent, delayMs: 400 }
  if (choice.chance(4))
    return {
      raw: `HTTP/1.1 ${choice.pick(['100 Continue', '103 Early Hints\r\nlink: </a>', '102 Processing'])}\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nafter`,
    }
  if (choice.chance(4)) return { raw: 'HTTP/1.1 200 OK\r\nx-r: closing\r\n\r\nup to the end', after: 'close' }
  if (choice.chance(3)) return { raw: 'HTTP/1.0 200 OK\r\nx-r: old\r\ncontent-length: 3\r\n\r\nold' }
  if (choice.chance(3)) return { raw: 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nless', after: 'close' }
  if (choice.chance(12))
    return {
      status: choice.pick([301, 302, 303, 307, 308]),
      headers: [
        [
          'location',
          choice.pick([
            'http://a.test/a',
            'http://b.test/b/1/c?q=1',
            '/a/b',
            'https://c.test/',
            'http://c.test:8080/',
            'nonsense',
            'http://a.test',
          ]),
        ],
        ...sent,
      ],
    }
  if (choice.chance(15))
    return {
      status: choice.pick([200, 503, 404]),
      headers: sent,
      chunks: choice.pick([[], ['one'], ['one', 'two']]),
      trailers: choice.chance(50)
        ? [['x-t', 'end'], ...(choice.chance(40) ? [['grpc-status', choice.pick(['0', '5', '14'])] as const] : [])]
        : [],
    }
  return {
    status: choice.pick(statuses),
    headers: sent,
    ...(choice.chance(30) ? { body: choice.pick(['', 'x'.repeat(600), '{"error":1}']) } : {}),
    ...(choice.chance(4) ? { early: true } : {}),
    ...(choice.chance(4) ? { after: 'close' as const } : {}),
  }
}

/** Answers by what a request asks for: its first try gets the first one that it names, and so on. */
export function chooser(answers: readonly OriginAnswer[]): (message: WireMessage) => OriginAnswer {
  const tries = new Map<string, number>()
  return ({ headers }) => {
    const of = (name: string): string | undefined => headers.find(([key]) => key.toLowerCase() === name)?.[1]
    const asked = of('x-answer')?.split('.') ?? []
    if (asked.length === 0) return {}
    const id = of('x-id') ?? ''
    const before = tries.get(id) ?? 0
    tries.set(id, before + 1)
    return answers[Number(asked[Math.min(before, asked.length - 1)])] ?? {}
  }
}
