import { type Bag, MutableBag } from '@weft/attributes/bag'
import { formatIp } from '@weft/attributes/ip'
import type { AttributeValue } from '@weft/attributes/types'
import { encodeForwarded, ForwardedAttributes } from '@weft/proxy/filters/http/mixer/forwarded-attributes'
import { RequestAttributes, type RequestFacts } from '@weft/proxy/filters/http/mixer/request-attributes'
import { addResponseAttributes, type ResponseFacts } from '@weft/proxy/filters/http/mixer/response-attributes'
import { PASS } from '@weft/proxy/filters/http/mixer/verdict'
import { type Json, type JsonObject, object, optionalObject } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'

/** Attributes that the filter finds out itself; all others a case expects come from configuration or from the caller's sidecar. */
const OWN =
  /^(request|response|connection|check|quota)\.|^context\.protocol$|^origin\.ip$|^destination\.(ip|port)$|^source\.(principal|user)$/
const BYTES = /^\[[\d ]+\]$/

/** Each expected bag of a case: a request is made that should give it, and its attributes are compared. */
export function playAttributes(one: JsonObject): CaseResult[] {
  const blocks = object(one['blocks'], 'blocks')
  const claims = Object.entries(blocks).find(([name]) => name.includes('Userinfo'))?.[1]
  return playBlocks(blocks, (expected, isReport) =>
    attributesFor(expected, isReport, claims === undefined ? null : optionalObject(claims, 'Userinfo')),
  )
}

/** Compares each expected bag among a case's blocks with the one that `make` gives for it. */
export function playBlocks(blocks: JsonObject, make: (expected: JsonObject, isReport: boolean) => Bag): CaseResult[] {
  return Object.entries(blocks).flatMap(([name, block]): CaseResult[] => {
    const isReport = /report/i.test(name)
    if (!isReport && !/^check/i.test(name)) return []
    const expected = blockOf(block)
    if (expected === undefined) return []
    const problems = differences(expected, make(expected, isReport))
    return [{ name, passed: problems.length === 0, expected: problems.length === 0 ? 'as expected' : expected, actual: problems }]
  })
}

/** A block is an object, or text of one; text that ends where the original went on with a variable gets "any value" there. */
function blockOf(block: Json): JsonObject | undefined {
  if (typeof block !== 'string') return object(block, 'block')
  for (const ending of ['', '"*"}']) {
    try {
      const parsed: Json = JSON.parse(block + ending)
      return object(parsed, 'block')
    } catch {
      // Not this ending.
    }
  }
  return undefined
}

function attributesFor(expected: JsonObject, isReport: boolean, claims: JsonObject | null): Bag {
  const statics = new Map<string, AttributeValue>()
  const forwarded = new Map<string, AttributeValue>()
  for (const [name, value] of Object.entries(expected)) {
    if (!OWN.test(name)) (name.startsWith('source.') ? forwarded : statics).set(name, configured(value))
  }
  const received = forwarded.size === 0 ? null : new ForwardedAttributes([], () => {}).read(encodeForwarded(forwarded))
  const attributes = new RequestAttributes(
    requestFacts(expected, claims),
    new MutableBag(undefined, [...(received ?? []), ...statics]),
  )
  // The connection is not seen where a filter before this one answered: then nothing of it is expected either.
  const bag = attributes.snapshot(expected['origin.ip'] === undefined)
  if (isReport) {
    const wasChecked = expected['check.cache_hit'] !== undefined
    const check = {
      verdict: PASS,
      isCheckCached: expected['check.cache_hit'] === true,
      isQuotaCached: expected['quota.cache_hit'] === true,
    }
    addResponseAttributes(bag, responseFacts(expected), wasChecked ? check : null)
  }
  return bag
}

/** An attribute's value as configuration gives it. */
export function configured(value: Json): AttributeValue {
  if (typeof value === 'string' && BYTES.test(value)) return bytesOf(value)
  if (typeof value === 'number') return BigInt(value)
  return typeof value === 'boolean' ? value : String(value)
}

function requestFacts(expected: JsonObject, jwtClaims: JsonObject | null): RequestFacts {
  const headers = headersOf(expected['request.headers'])
  const agent = expected['request.useragent']
  if (agent !== undefined) headers.set('user-agent', known(agent))
  // What never may show.
  headers.set('x-istio-attributes', 'secret')
  return {
    method: known(expected['request.method']),
    path: known(expected['request.path']),
    authority: known(expected['request.host']),
    scheme: known(expected['request.scheme']),
    header: (name) => headers.get(name) ?? null,
    forEachHeader: (visit) => headers.forEach((value, name) => void visit(name, value)),
    startTimeMs: 1_500_000_000_000,
    isGrpc: expected['context.protocol'] === 'grpc',
    remoteAddress: expected['origin.ip'] === undefined ? '127.0.0.1' : formatIp(bytesOf(String(expected['origin.ip']))),
    isMutualTls: expected['connection.mtls'] === true,
    requestedServerName: known(expected['connection.requested_server_name'] ?? ''),
    peerPrincipal: known(expected['source.principal'] ?? ''),
    localPrincipal: '',
    jwtClaims,
  }
}

function responseFacts(expected: JsonObject): ResponseFacts {
  const headers = headersOf(expected['response.headers'])
  const bodyBytes = Number(expected['response.size'])
  pad(headers, Number(expected['response.total_size']) - bodyBytes - ':status200'.length)
  const size = Number(expected['request.size'])
  const total = Number(expected['request.total_size'])
  const destination = expected['destination.ip']
  return {
    status: Number(expected['response.code']),
    forEachHeader: (visit) => headers.forEach((value, name) => void visit(name, value)),
    requestBodyBytes: size,
    requestHeaderBytes: Number.isNaN(total) ? 200 : total - size,
    responseBodyBytes: bodyBytes,
    durationMs: 12.5,
    endTimeMs: 1_500_000_000_012,
    upstreamAddress: destination === undefined ? null : `${formatIp(bytesOf(String(destination)))}:8080`,
    upstreamUid: null,
    grpcStatus: null,
    grpcMessage: null,
  }
}

/** Adds the headers that the original response had beside those it was asked about: so many bytes as its size says. */
function pad(headers: Map<string, string>, totalBytes: number): void {
  if (Number.isNaN(totalBytes)) return
  let known = 0
  for (const [name, value] of headers) known += name.length + value.length
  const name = 'x-other'
  headers.set(name, 'x'.repeat(Math.max(0, totalBytes - known - name.length)))
}

function headersOf(map: Json | undefined): Map<string, string> {
  const entries = Object.entries(optionalObject(map, 'headers')).filter(([name, value]) => !name.startsWith(':') && value !== '-')
  return new Map(entries.map(([name, value]) => [name, known(value)]))
}

/** A value, or any where the case takes any. */
export function known(value: Json | undefined): string {
  return value === '*' || value === undefined ? 'anything' : String(value)
}

/** Each attribute that is missing, too much, or of another value; string maps may have more entries than expected. */
function differences(expected: JsonObject, actual: Bag): string[] {
  const problems: string[] = []
  for (const [name, wanted] of Object.entries(expected)) {
    const value = actual.get(name)
    if (value === undefined) problems.push(`${name} is missing`)
    else if (value instanceof Map) problems.push(...mapDifferences(name, optionalObject(wanted, name), value))
    else if (wanted !== '*' && String(wanted) !== written(value))
      problems.push(`${name} is ${written(value)}, not ${String(wanted)}`)
  }
  for (const name of actual.names()) if (!Object.hasOwn(expected, name)) problems.push(`${name} is too much`)
  return problems
}

function mapDifferences(name: string, wanted: JsonObject, actual: ReadonlyMap<string, string>): string[] {
  return Object.entries(wanted).flatMap(([key, value]) => {
    const entry = actual.get(key)
    if (value === '-') return entry === undefined ? [] : [`${name}[${key}] should not be there`]
    return entry !== undefined && (value === '*' || entry === String(value))
      ? []
      : [`${name}[${key}] is ${entry}, not ${String(value)}`]
  })
}

/** A value as the cases write it: bytes as `[127 0 0 1]`. */
function written(value: AttributeValue): string {
  return value instanceof Uint8Array ? `[${value.join(' ')}]` : String(value)
}

/** Bytes as the cases write them: `[127 0 0 1]`. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text.slice(1, -1).split(' '), Number)
}
