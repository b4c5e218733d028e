import type { TcpProxy_TunnelingConfig as TunnelingConfig } from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import { compileTextFormat, type TextFormat } from '../../../observe/format/text-format.ts'
import { invalid } from '../../../plan/problems.ts'
import { compileHeaderEdits, type HeaderEdits } from '../../../routing/header-edits.ts'

/** How a TCP session is taken through HTTP (tunneling_config), compiled. */
export interface TunnelPlan {
  /** The authority that is asked for. */
  readonly host: TextFormat
  /** The path where POST asks for it; null: CONNECT does. */
  readonly postPath: string | null
  readonly edits: HeaderEdits | null
  /** Whether the answer's headers, and trailers, become filter state of the connection. */
  readonly keepsHeaders: boolean
  readonly keepsTrailers: boolean
}

/** The filter state that the answer to a tunnel's request becomes, as Envoy calls it. */
export const tunnelHeaders = 'envoy.tcp_proxy.propagate_response_headers'
export const tunnelTrailers = 'envoy.tcp_proxy.propagate_response_trailers'

/** Compiles tcp_proxy's tunneling_config. */
export function compileTunnel(source: TunnelingConfig, path: string): TunnelPlan {
  if (source.postPath !== '' && !source.usePost)
    throw invalid(`${path}.post_path`, "can't set a post path when POST method isn't used")
  return {
    host: compileTextFormat(source.hostname, `${path}.hostname`, '-'),
    postPath: source.usePost ? source.postPath || '/' : null,
    edits: compileHeaderEdits(
      {
        requestHeadersToAdd: source.headersToAdd,
        requestHeadersToRemove: [],
        responseHeadersToAdd: [],
        responseHeadersToRemove: [],
      },
      path,
    ),
    keepsHeaders: source.propagateResponseHeaders,
    keepsTrailers: source.propagateResponseTrailers,
  }
}
