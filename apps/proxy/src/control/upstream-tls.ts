import { createHash } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import type { TransportSocket } from '@weft/contracts/envoy/config/core/v3/base'
import type {
  CertificateValidationContext,
  TlsCertificate,
} from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import type { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { WeftError } from '@weft/service/errors'
import { readDataSource } from './data-source.ts'

/** TLS to a control plane, as read from a cluster's transport socket. */
export interface UpstreamTls {
  sni: string
  /** Trusted roots, PEM; undefined: the server's certificate is not verified. */
  ca: Buffer | undefined
  certificate: Buffer | undefined
  key: Buffer | undefined
  validation: CertificateValidationContext | undefined
  /** Changes when anything of it does. */
  fingerprint: string
}

/** What a transport socket asks for: plaintext, or TLS with the contexts still to be filled from secrets. */
export function upstreamTlsContext(socket: TransportSocket | undefined): UpstreamTlsContext | undefined {
  const config = socket?.configType?.$case === 'typedConfig' ? socket.configType.value : undefined
  if (config === undefined || config.typeUrl.endsWith('.RawBuffer')) return undefined
  if (!config.typeUrl.endsWith('/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'))
    throw new WeftError('unimplemented', `a control-plane connection cannot use the transport socket ${config.typeUrl}`)
  return UpstreamTlsContext.decode(config.value)
}

/** The TLS settings of a context with its secrets; throws WeftError 'unavailable' while a secret is not there yet. */
export function upstreamTls(context: UpstreamTlsContext, secretNamed: (name: string) => Secret | undefined): UpstreamTls {
  const common = context.commonTlsContext
  const need = (name: string): Secret => {
    const secret = secretNamed(name)
    if (secret === undefined) throw new WeftError('unavailable', `secret ${name} has not come yet`)
    return secret
  }
  let certificate: TlsCertificate | undefined = common?.tlsCertificates[0]
  const sds = common?.tlsCertificateSdsSecretConfigs[0]
  if (sds !== undefined) {
    const secret = need(sds.name)
    certificate = secret.type?.$case === 'tlsCertificate' ? secret.type.value : undefined
  }
  let validation: CertificateValidationContext | undefined
  const type = common?.validationContextType
  const fromSecret = (name: string): CertificateValidationContext | undefined => {
    const secret = need(name)
    return secret.type?.$case === 'validationContext' ? secret.type.value : undefined
  }
  if (type?.$case === 'validationContext') validation = type.value
  else if (type?.$case === 'validationContextSdsSecretConfig') validation = fromSecret(type.value.name)
  else if (type?.$case === 'combinedValidationContext') {
    const own = type.value.defaultValidationContext
    const name = type.value.validationContextSdsSecretConfig?.name
    const fetched = name === undefined ? undefined : fromSecret(name)
    if (own !== undefined || fetched !== undefined) validation = combine(own, fetched)
  }
  const ca =
    validation?.systemRootCerts !== undefined
      ? Buffer.from(rootCertificates.join('\n'))
      : validation?.trustedCa === undefined
        ? undefined
        : readDataSource(validation.trustedCa, 'trusted_ca')
  const chain =
    certificate?.certificateChain === undefined ? undefined : readDataSource(certificate.certificateChain, 'certificate')
  const key = certificate?.privateKey === undefined ? undefined : readDataSource(certificate.privateKey, 'private key')
  const hash = createHash('sha256')
  for (const part of [Buffer.from(context.sni), ca, chain, key]) hash.update(part ?? '').update('\0')
  return { sni: context.sni, ca, certificate: chain, key, validation, fingerprint: hash.digest('hex') }
}

/** The fetched context wins field by field; its matchers are added (protobuf's MergeFrom, as Envoy does). */
function combine(
  own: CertificateValidationContext | undefined,
  fetched: CertificateValidationContext | undefined,
): CertificateValidationContext | undefined {
  if (own === undefined || fetched === undefined) return own ?? fetched
  return {
    ...own,
    trustedCa: fetched.trustedCa ?? own.trustedCa,
    systemRootCerts: fetched.systemRootCerts ?? own.systemRootCerts,
    matchTypedSubjectAltNames: [...own.matchTypedSubjectAltNames, ...fetched.matchTypedSubjectAltNames],
    matchSubjectAltNames: [...own.matchSubjectAltNames, ...fetched.matchSubjectAltNames],
  }
}
