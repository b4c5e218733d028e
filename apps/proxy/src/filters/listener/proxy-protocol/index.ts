import { isUtf8 } from 'node:buffer'
import {
  ProxyProtocolPassThroughTLVs_PassTLVsMatchType as PassTlvs,
  ProxyProtocolConfig_Version as Version,
} from '@weft/contracts/envoy/config/core/v3/proxy_protocol'
import {
  ProxyProtocol_KeyValuePair_ValueStringEncoding as Encoding,
  ProxyProtocol,
} from '@weft/contracts/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol'
import { invalid } from '../../../plan/problems.ts'
import { maxProxyHeaderBytes, readProxyHeader, type Tlv } from '../../../transport/proxy-protocol.ts'
import type { ConnectionFacts, ListenerFilterKind } from '../filter.ts'

const namespace = 'envoy.filters.listener.proxy_protocol'

/** `envoy.filters.listener.proxy_protocol`: a PROXY header says who connected to whom. */
export const proxyProtocol: ListenerFilterKind = {
  types: ['envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol'],
  compile(config, path, { stats }) {
    const source = ProxyProtocol.decode(config)
    const prefix = source.statPrefix === '' ? 'proxy_proto.' : `proxy_proto.${source.statPrefix}.`
    const counter = (name: string) => stats.counter(prefix + name)
    const ofVersion = (version: 1 | 2) => ({
      found: counter(`versions.v${version}.found`),
      disallowed: counter(`versions.v${version}.disallowed`),
      error: counter(`versions.v${version}.error`),
    })
    const versions = { 1: ofVersion(1), 2: ofVersion(2) }
    const notFoundAllowed = counter('not_found_allowed')
    const notFoundDisallowed = counter('not_found_disallowed')
    // What refusals counted as before there were the others.
    const refused = stats.counter('downstream_cx_proxy_proto_error')
    const disallowed = new Set(source.disallowedVersions.map((version) => (version === Version.V1 ? 1 : 2)))
    // Where no header has to be there one of another version is none.
    const allowed = ([1, 2] as const).filter((version) => !disallowed.has(version))
    if (allowed.length === 0)
      throw invalid(path, 'Proxy Protocol filter is misconfigured: all proxy protocol versions are disallowed.')
    const { passThroughTlvs, allowRequestsWithoutProxyProtocol: optional } = source
    const passes = ({ type }: Tlv): boolean =>
      passThroughTlvs !== undefined &&
      (passThroughTlvs.matchType === PassTlvs.INCLUDE_ALL || passThroughTlvs.tlvType.includes(type))

    const note = (facts: ConnectionFacts, tlvs: readonly Tlv[]): void => {
      for (const { tlvType, onTlvPresent } of source.rules) {
        const tlv = tlvs.find(({ type }) => type === tlvType)
        if (tlv === undefined || onTlvPresent === undefined) continue
        const name = onTlvPresent.metadataNamespace || namespace
        facts.metadata ??= {}
        facts.metadata[name] = {
          ...facts.metadata[name],
          [onTlvPresent.key]: textOf(tlv.value, onTlvPresent.valueStringEncoding),
        }
      }
      facts.tlvs = tlvs.filter(passes)
    }

    const disallow = (version: 1 | 2): 'refuse' => {
      versions[version].found.inc()
      versions[version].disallowed.inc()
      return 'refuse'
    }

    return {
      maxBytes: maxProxyHeaderBytes,
      inspect(bytes, facts) {
        const reading = readProxyHeader(bytes, optional ? allowed : undefined)
        switch (reading.type) {
          case 'more':
            return 'more'
          case 'none':
            if (optional) {
              notFoundAllowed.inc()
              return 0
            }
            notFoundDisallowed.inc()
            refused.inc()
            return 'refuse'
          case 'invalid':
            // Envoy looks no further than at the version.
            if (disallowed.has(reading.version)) return disallow(reading.version)
            versions[reading.version].error.inc()
            refused.inc()
            return 'refuse'
          case 'header': {
            const { header, length } = reading
            const { version, addresses, tlvs } = header
            if (disallowed.has(version)) return disallow(version)
            versions[version].found.inc()
            if (addresses !== null) {
              facts.directRemote ??= facts.remote
              facts.directLocal ??= facts.local
              facts.remote = addresses.source
              facts.local = addresses.destination
            }
            note(facts, tlvs)
            return length
          }
        }
      },
    }
  },
}

/** A value as metadata, which is text. */
function textOf(value: Buffer, encoding: Encoding): string {
  return encoding === Encoding.BASE64 ? value.toString('base64') : sanitized(value)
}

/** Text with `!` in place of each byte that is of no character. */
function sanitized(value: Buffer): string {
  if (isUtf8(value)) return value.toString('utf8')
  const bytes = Buffer.from(value)
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes[at]!)
    const end = at + length
    if (end <= bytes.length && isUtf8(bytes.subarray(at, end))) at = end
    else bytes[at++] = 0x21
  }
  return bytes.toString('utf8')
}

/** Bytes of the character in UTF-8 that begins with this one. */
function characterLength(first: number): number {
  if (first >= 0xf0) return 4
  if (first >= 0xe0) return 3
  return first >= 0xc0 ? 2 : 1
}
