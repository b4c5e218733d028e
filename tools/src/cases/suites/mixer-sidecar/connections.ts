import { type Bag, MutableBag } from '@weft/attributes/bag'
import { formatIp } from '@weft/attributes/ip'
import type { AttributeValue } from '@weft/attributes/types'
import { PASS } from '@weft/proxy/filters/http/mixer/verdict'
import { connectionAttributes, progressAttributes } from '@weft/proxy/filters/network/mixer/connection-attributes'
import { type Json, type JsonObject, object } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { bytesOf, configured, known, playBlocks } from './attributes.ts'

/** Attributes that the filter finds out itself for a check, and those that a report adds; all others come from configuration. */
const OWN = /^(connection|check|quota)\.|^context\.(protocol|time)$|^(origin|source)\.ip$|^source\.(principal|user)$/
const REPORTED = /^destination\.(ip|port)$/

/** Each expected bag of a case of the TCP filter: a connection is made up that should give it, and its attributes are compared. */
export function playConnections(one: JsonObject): CaseResult[] {
  return playBlocks(object(one['blocks'], 'blocks'), attributesFor)
}

function attributesFor(expected: JsonObject, isReport: boolean): Bag {
  const statics = Object.entries(expected)
    .filter(([name]) => !OWN.test(name) && !(isReport && REPORTED.test(name)))
    .map(([name, value]): [string, AttributeValue] => [name, configured(value)])
  const checked = connectionAttributes(
    {
      id: 'case-1',
      remoteAddress: addressOf(expected['source.ip']),
      isMutualTls: expected['connection.mtls'] === true,
      requestedServerName: textOf(expected['connection.requested_server_name']),
      peerPrincipal: textOf(expected['source.principal']),
      localPrincipal: textOf(expected['destination.principal']),
      timeMs: 1_500_000_000_000,
    },
    new MutableBag(undefined, statics),
  )
  if (!isReport) return checked
  const count = (name: string) => Number(expected[name]) || 0
  const event = known(expected['connection.event'])
  return progressAttributes(
    checked,
    {
      event: event === 'open' || event === 'close' ? event : 'continue',
      timeMs: 1_500_000_000_012,
      receivedBytes: count('connection.received.bytes'),
      receivedBytesTotal: count('connection.received.bytes_total'),
      sentBytes: count('connection.sent.bytes'),
      sentBytesTotal: count('connection.sent.bytes_total'),
      durationMs: 12.5,
      localAddress: addressOf(expected['destination.ip']),
      localPort: 8080,
    },
    { verdict: PASS, isCheckCached: expected['check.cache_hit'] === true, isQuotaCached: expected['quota.cache_hit'] === true },
  )
}

function addressOf(value: Json | undefined): string {
  return value === undefined ? '' : formatIp(bytesOf(String(value)))
}

/** Nothing where a case expects nothing. */
function textOf(value: Json | undefined): string {
  return value === undefined ? '' : known(value)
}
