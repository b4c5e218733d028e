import { FilterStateInput } from '@weft/contracts/envoy/extensions/matching/common_inputs/network/v3/network_inputs'
import { HttpRequestHeaderMatchInput, HttpRequestQueryParamMatchInput } from '@weft/contracts/envoy/type/matcher/v3/http_inputs'
import type { Any } from '@weft/contracts/google/protobuf/any'
import type { RequestHead } from '@weft/http/message'
import { unsupported } from '../../plan/problems.ts'
import type { ConnectionInfo } from '../../transport/connection-info.ts'
import { headerReader } from './header-matcher.ts'
import { queryParameter } from './query-parameter-matcher.ts'

/** What matcher trees ask about: a request on its connection, or a connection that has none. */
export interface MatchSubject {
  readonly request: RequestHead
  readonly connection: Pick<
    ConnectionInfo,
    'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort' | 'tls' | 'serverName' | 'directRemote'
  >
  readonly info: { readonly downstreamRemoteAddress: string }
  readonly filterState: ReadonlyMap<string, unknown>
  /** What the first bytes told of a connection whose handshake is still to come. */
  readonly detected?: { readonly transportProtocol: string; readonly applicationProtocols: readonly string[] }
}

/**
 * When a tree is asked: for a request, or for a request or a connection that rules let pass or not, or where a connection's
 * filter chain is chosen. Not every input is there at each.
 */
export type MatchMoment = 'request' | 'ruled-request' | 'ruled-connection' | 'accepted'

/** Reads a value; null: there is none. */
export type MatchInput = (subject: MatchSubject) => string | null

const network = 'envoy.extensions.matching.common_inputs.network.v3.'
const ssl = 'envoy.extensions.matching.common_inputs.ssl.v3.'
const http = 'envoy.type.matcher.v3.'

const none = ''

/** Inputs by the type of their configuration. */
const inputs: Readonly<Record<string, (config: Uint8Array) => MatchInput>> = {
  [`${http}HttpRequestHeaderMatchInput`](config) {
    const read = headerReader(HttpRequestHeaderMatchInput.decode(config).headerName)
    return ({ request }) => read(request)
  },
  [`${http}HttpRequestQueryParamMatchInput`](config) {
    const { queryParam } = HttpRequestQueryParamMatchInput.decode(config)
    return ({ request }) => queryParameter(request.path, queryParam)
  },
  [`${network}DestinationIPInput`]: () => (subject) => subject.connection.localAddress,
  [`${network}DestinationPortInput`]: () => (subject) => String(subject.connection.localPort),
  [`${network}SourceIPInput`]: () => (subject) => subject.info.downstreamRemoteAddress || subject.connection.remoteAddress,
  [`${network}SourcePortInput`]: () => (subject) => String(subject.connection.remotePort),
  [`${network}DirectSourceIPInput`]:
    () =>
    ({ connection }) =>
      connection.directRemote?.address ?? connection.remoteAddress,
  [`${network}SourceTypeInput`]:
    () =>
    ({ connection }) =>
      connection.remoteAddress === connection.localAddress || ['127.0.0.1', '::1'].includes(connection.remoteAddress)
        ? 'local'
        : null,
  [`${network}ServerNameInput`]: () => (subject) => orNull(subject.connection.serverName),
  [`${network}TransportProtocolInput`]:
    () =>
    ({ connection, detected }) =>
      detected?.transportProtocol ?? (connection.tls === null ? 'raw_buffer' : 'tls'),
  [`${network}ApplicationProtocolInput`]: () => (subject) => {
    if (subject.detected !== undefined)
      return orNull(subject.detected.applicationProtocols.map((protocol) => `'${protocol}'`).join(','))
    const alpn = subject.connection.tls?.alpn ?? none
    return alpn === '' ? null : `'${alpn}'`
  },
  [`${network}FilterStateInput`](config) {
    const { key, field } = FilterStateInput.decode(config)
    // Objects are texts here, which have no fields.
    if (field !== '') return () => null
    return ({ filterState }) => {
      const value = filterState.get(key)
      return value === undefined ? null : String(value)
    }
  },
  [`${ssl}UriSanInput`]: () => (subject) => listed(subject.connection.tls?.peer?.uris),
  [`${ssl}DnsSanInput`]: () => (subject) => listed(subject.connection.tls?.peer?.dnsNames),
  [`${ssl}SubjectInput`]: () => (subject) => orNull(subject.connection.tls?.peer?.subject ?? none),
}

/** The types of the inputs there are. */
export const matchInputTypes: readonly string[] = Object.keys(inputs)

/** Inputs that only the choice of a filter chain (and trees of requests) may ask for: Envoy's rules have them not. */
const ofListeners = new Set(
  ['SourceTypeInput', 'TransportProtocolInput', 'ApplicationProtocolInput'].map((name) => network + name),
)

/** Compiles a matcher's input. */
export function compileMatchInput(config: Any, path: string, moment: MatchMoment): MatchInput {
  const type = config.typeUrl.slice(config.typeUrl.lastIndexOf('/') + 1)
  const isRuled = moment === 'ruled-request' || moment === 'ruled-connection'
  const isConnection = moment === 'ruled-connection' || moment === 'accepted'
  const compile = (isRuled && ofListeners.has(type)) || (isConnection && type.startsWith(http)) ? undefined : inputs[type]
  if (compile === undefined) throw unsupported(`${path}.typed_config`, `the matching input '${config.typeUrl}'`)
  return compile(config.value)
}

function listed(values: readonly string[] | undefined): string | null {
  return values === undefined || values.length === 0 ? null : values.join(',')
}

function orNull(text: string): string | null {
  return text === '' ? null : text
}
