import tls from 'node:tls'
import type { TransportSocket } from '@weft/contracts/envoy/config/core/v3/base'
import {
  DownstreamTlsContext,
  DownstreamTlsContext_OcspStaplePolicy as Policy,
} from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import type { ClientHello } from '../transport/client-hello.ts'
import type { KeyLog } from './key-log.ts'
import { isCurrent } from './ocsp-response.ts'
import { invalid, unsupported } from './problems.ts'
import type { SecretStore } from './secret-store.ts'
import { type CertificateChoice, chooseCertificates } from './server-certificates.ts'
import { compileSessionTickets } from './session-tickets.ts'
import type { TicketKeys } from './ticket-keys.ts'
import { certificateOptions, compileTlsContext, type TlsMaterial, type TlsSource } from './tls-context.ts'
import type { TlsCertificatePlan, ValidationPlan } from './tls-material.ts'

/** TLS of a filter chain. */
export interface DownstreamTls {
  /** The server for a client's handshake, made anew when secrets came; null until they are there. */
  server(hello: ClientHello): TlsServer | null
}

/** What a handshake is made by. */
export interface TlsServer {
  readonly context: tls.SecureContext
  /** The protocols that it may agree on, the dearest first. */
  readonly alpn: readonly string[]
  readonly keyLog: KeyLog | null
  readonly ticketKeys: readonly Buffer[]
  readonly material: TlsMaterial
  /** The certificates that it may show. */
  readonly certificates: readonly TlsCertificatePlan[]
  /** Whether a client is asked for its certificate, and turned away without one. */
  readonly asksForCertificate: boolean
  readonly requiresCertificate: boolean
  /** What is stapled to a certificate that is shown, by its DER; null: nothing. */
  staple(leaf: Buffer): Buffer | null
  /** The same as a server of Node's, for a client that offers these protocols. */
  ofNode(offered: readonly string[]): tls.Server
}

/** Compiles a filter chain's transport socket; null for a plaintext one. `speaks`: ALPN names the chain's filter can serve. */
export function compileDownstreamTls(
  socket: TransportSocket,
  path: string,
  secrets: SecretStore,
  speaks: readonly string[] | null,
): DownstreamTls | null {
  const any = socket.configType?.value
  if (any?.typeUrl.endsWith('.raw_buffer.v3.RawBuffer')) return null
  if (any === undefined || !any.typeUrl.endsWith('.tls.v3.DownstreamTlsContext')) {
    throw unsupported(`${path}.typed_config`, `transport socket '${any?.typeUrl ?? socket.name}'`)
  }
  const source = DownstreamTlsContext.decode(any.value)
  const { tlsCertificates = [], tlsCertificateSdsSecretConfigs = [] } = source.commonTlsContext ?? {}
  if (tlsCertificates.length > 0 && tlsCertificateSdsSecretConfigs.length > 0)
    throw invalid(
      `${path}.typed_config.common_tls_context`,
      'SDS and non-SDS TLS certificates may not be mixed in server contexts',
    )
  const context = compileTlsContext(source.commonTlsContext, `${path}.typed_config`, secrets, false)
  const requireClientCertificate = source.requireClientCertificate ?? false
  const alpn = speaks === null ? context.alpn : context.alpn.filter((name) => speaks.includes(name))
  const tickets = compileSessionTickets(source, `${path}.typed_config`, secrets)
  const staples = compileStapling(source, context, `${path}.typed_config`)
  let made: { material: TlsMaterial; keys: TicketKeys; choose: CertificateChoice; servers: Map<string, TlsServer> } | null = null
  return {
    server({ serverName, prefersChaCha }) {
      const material = context.current()
      const keys = tickets.keys()
      if (material === null || keys === null) return null
      if (made === null || made.material !== material || made.keys !== keys) {
        const choose = chooseCertificates(material.certificates, source.fullScanCertsOnSniMismatch ?? false)
        made = { material, keys, choose, servers: new Map() }
      }
      const certificates = made.choose(serverName).filter(staples.mayShow)
      const ciphers = prefersChaCha ? context.chaChaCiphers : null
      const key = `${certificates.map((one) => material.certificates.indexOf(one)).join()}${ciphers === null ? '' : ' ChaCha20'}`
      let known = made.servers.get(key)
      if (known === undefined) {
        const resumption = tickets.resumption(material, keys)
        const options = {
          ...material.options,
          ...certificateOptions(certificates),
          ...resumption.options,
          ...(ciphers === null ? {} : { ciphers }),
          honorCipherOrder: !source.preferClientCiphers,
          secureOptions: (material.options.secureOptions ?? 0) | (resumption.options.secureOptions ?? 0),
        }
        const requiresCertificate = requireClientCertificate || isForSome(material.validation)
        const asksForCertificate = requiresCertificate || isJudged(material.validation)
        const staple = (leaf: Buffer) => staples.of(certificates, leaf)
        const ofNode = nodeServers(options, alpn, asksForCertificate, (server) => {
          resumption.complete(sharedContext(server))
          if (certificates.some(({ ocsp }) => ocsp !== null)) server.on('OCSPRequest', answerOcsp(staple))
          if (context.keyLog !== null) server.on('keylog', context.keyLog)
        })
        known = {
          context: tls.createSecureContext(options),
          alpn,
          keyLog: context.keyLog,
          ticketKeys: resumption.ticketKeys,
          material,
          certificates,
          asksForCertificate,
          requiresCertificate,
          staple,
          ofNode,
        }
        made.servers.set(key, known)
      }
      return known
    },
  }
}

/** Whether clients with certain certificates alone may come in: then one without has to be turned away too. */
function isForSome(validation: ValidationPlan | null): boolean {
  return validation !== null && !validation.acceptUntrusted && (validation.matchesNames || validation.hasPins)
}

/** Whether there is anything that a client's certificate is looked at for: without it, none is asked for. */
function isJudged(validation: ValidationPlan | null): boolean {
  return validation !== null && (validation.ca !== null || validation.acceptUntrusted || validation.hasPins)
}

/** How what authorities say of certificates is told to clients that ask. */
interface Stapling {
  /** Whether a certificate may be shown now. */
  mayShow(certificate: TlsCertificatePlan): boolean
  /** What is said now of that one of the certificates; null: nothing. */
  of(certificates: readonly TlsCertificatePlan[], leaf: Buffer): Buffer | null
}

function compileStapling({ ocspStaplePolicy }: DownstreamTlsContext, context: TlsSource, path: string): Stapling {
  const at = `${path}.ocsp_staple_policy`
  const isStrict = ocspStaplePolicy !== Policy.LENIENT_STAPLING
  const certificates = context.current()?.certificates ?? []
  if (ocspStaplePolicy === Policy.MUST_STAPLE && certificates.some(({ ocsp }) => ocsp === null))
    throw invalid(at, 'OCSP response is required by MUST_STAPLE, and a certificate has none')
  if (isStrict && certificates.some(({ ocsp }) => ocsp !== null && !isCurrent(ocsp)))
    throw invalid(at, 'OCSP response has expired as of config time')
  return {
    mayShow: ({ ocsp }) => (ocsp === null ? ocspStaplePolicy !== Policy.MUST_STAPLE : !isStrict || isCurrent(ocsp)),
    of(shown, leaf) {
      const ocsp = shown.find((one) => one.leaf.raw.equals(leaf))?.ocsp ?? null
      return ocsp !== null && isCurrent(ocsp) ? ocsp.bytes : null
    },
  }
}

const nothing = Buffer.alloc(0)

function answerOcsp(staple: (leaf: Buffer) => Buffer | null) {
  return (leaf: Buffer, _issuer: Buffer, answer: (error: Error | null, response: Buffer) => void) =>
    answer(null, staple(leaf) ?? nothing)
}

/** Servers of Node's, made when they are asked for. */
function nodeServers(
  options: tls.TlsOptions & tls.SecureContextOptions,
  alpn: readonly string[],
  requestCert: boolean,
  complete: (server: tls.Server) => void,
): TlsServer['ofNode'] {
  const made = new Map<boolean, tls.Server>()
  return (offered) => {
    // A client without a protocol of ours goes on without ALPN, as with Envoy; Node would end the handshake.
    const agrees = alpn.some((name) => offered.includes(name))
    let server = made.get(agrees)
    if (server === undefined) {
      server = tls.createServer({
        ...options,
        ...(agrees ? { ALPNProtocols: [...alpn] } : {}),
        requestCert,
        // Judged after the handshake, with the names; OpenSSL's verdict is kept in `authorized`.
        rejectUnauthorized: false,
      })
      const shared = sharedContext(server)
      // Node's servers overlook it: what their handshakes are made with is told so.
      if (options.allowPartialTrustChain === true && isSecureContext(shared)) shared.context.setAllowPartialTrustChain()
      complete(server)
      made.set(agrees, server)
    }
    return server
  }
}

/** What a server's handshakes are made with; Node's own field, with no public way to it. */
function sharedContext(server: tls.Server): unknown {
  return Reflect.get(server, '_sharedCreds')
}

function isSecureContext(value: unknown): value is { context: { setAllowPartialTrustChain(): void } } {
  if (typeof value !== 'object' || value === null || !('context' in value)) return false
  const { context } = value
  return typeof context === 'object' && context !== null && 'setAllowPartialTrustChain' in context
}
