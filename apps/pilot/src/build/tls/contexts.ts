import { isIP } from 'node:net'
import type { TransportSocket } from '@weft/contracts/envoy/config/core/v3/base'
import { ApiConfigSource_ApiType, ApiVersion, ConfigSource } from '@weft/contracts/envoy/config/core/v3/config_source'
import { RawBuffer } from '@weft/contracts/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer'
import {
  CertificateValidationContext,
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
} from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import { SdsSecretConfig } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import {
  CommonTlsContext,
  DownstreamTlsContext,
  UpstreamTlsContext,
} from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import {
  ClientTLSSettings_TLSmode as ClientMode,
  type ClientTLSSettings,
} from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import {
  ServerTLSSettings_TLSmode as ServerMode,
  type ServerTLSSettings,
} from '@weft/contracts/istio/networking/v1alpha3/gateway'
import type { MeshSettings, TlsLimits } from '../../model/mesh-settings.ts'
import { milliseconds, pack } from '../wire.ts'
import { authoritiesName, authoritiesOf, certificateName, certificateNames } from './credentials.ts'

const tlsPackage = 'envoy.extensions.transport_sockets.tls.v3'
/** The cluster of the bootstrap that leads to Citadel. */
const secretCluster = 'sds-grpc'
/** Names of the secrets that Citadel serves: the workload's own certificate, and whom it trusts. */
const workloadSecret = 'default'
const trustSecret = 'ROOTCA'

/** The application protocol of connections on which both ends first tell which workload they are. */
export const peerExchange = 'istio-peer-exchange'

/**
 * The one by which two proxies of ours agree on an HTTP/2 connection for the requests of many, whatever HTTP those are. Envoy
 * and what other control planes configure never name it.
 */
export const sharedHttp = 'weft-h2'

const secretSource = ConfigSource.fromPartial({
  resourceApiVersion: ApiVersion.V3,
  initialFetchTimeout: milliseconds(0),
  configSourceSpecifier: {
    $case: 'apiConfigSource',
    value: {
      apiType: ApiConfigSource_ApiType.GRPC,
      transportApiVersion: ApiVersion.V3,
      setNodeOnFirstMessageOnly: true,
      grpcServices: [{ targetSpecifier: { $case: 'envoyGrpc', value: { clusterName: secretCluster } } }],
    },
  },
})

function secret(name: string): SdsSecretConfig {
  return SdsSecretConfig.fromPartial({ name, sdsConfig: secretSource })
}

/** A credential of the platform's, which Pilot itself serves, over the stream that brought what names it. */
function credentialSecret(name: string): SdsSecretConfig {
  const sdsConfig = { resourceApiVersion: ApiVersion.V3, configSourceSpecifier: { $case: 'ads' as const, value: {} } }
  return SdsSecretConfig.fromPartial({ name, sdsConfig })
}

function upstreamSocket(context: UpstreamTlsContext): TransportSocket {
  const typedConfig = pack(`${tlsPackage}.UpstreamTlsContext`, UpstreamTlsContext, context)
  return { name: 'envoy.transport_sockets.tls', configType: { $case: 'typedConfig', value: typedConfig } }
}

function downstreamSocket(context: DownstreamTlsContext): TransportSocket {
  const typedConfig = pack(`${tlsPackage}.DownstreamTlsContext`, DownstreamTlsContext, context)
  return { name: 'envoy.transport_sockets.tls', configType: { $case: 'typedConfig', value: typedConfig } }
}

/** What connections are held to as a server: TLS 1.2 at least. */
function limits({ minProtocol, cipherSuites, curves }: TlsLimits) {
  return {
    tlsMinimumProtocolVersion: minProtocol === 0 ? TlsParameters_TlsProtocol.TLSv1_2 : minProtocol,
    cipherSuites: [...cipherSuites],
    ecdhCurves: [...curves],
  }
}

/** What connections are held to as a client: nothing where the mesh says nothing. */
function statedLimits(stated: TlsLimits) {
  const isStated = stated.minProtocol !== 0 || stated.cipherSuites.length > 0 || stated.curves.length > 0
  return isStated ? { ...limits(stated), tlsMinimumProtocolVersion: stated.minProtocol } : undefined
}

/** A transport without TLS. */
export function plaintextSocket(): TransportSocket {
  const typedConfig = pack('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer', RawBuffer, RawBuffer.fromPartial({}))
  return { name: 'envoy.transport_sockets.raw_buffer', configType: { $case: 'typedConfig', value: typedConfig } }
}

/** Trust in the authorities that a secret holds, for peers with one of these names; any of theirs when there are none. */
function trust(secretConfig: SdsSecretConfig, names: readonly string[]): CommonTlsContext['validationContextType'] {
  return {
    $case: 'combinedValidationContext',
    value: {
      defaultValidationContext: CertificateValidationContext.fromPartial(sanMatchers(names)),
      validationContextSdsSecretConfig: secretConfig,
      validationContextCertificateProvider: undefined,
      validationContextCertificateProviderInstance: undefined,
    },
  }
}

function sanMatchers(names: readonly string[]) {
  return {
    matchTypedSubjectAltNames: names.map((name) => ({
      sanType: name.includes('://') ? SubjectAltNameMatcher_SanType.URI : SubjectAltNameMatcher_SanType.DNS,
      matcher: { matchPattern: { $case: 'exact' as const, value: name } },
    })),
  }
}

/** The mutual TLS of the mesh, towards a server that has one of these identities. */
export function meshUpstreamSocket(serverName: string, identities: readonly string[], alpn: readonly string[]): TransportSocket {
  return upstreamSocket(
    UpstreamTlsContext.fromPartial({
      sni: serverName,
      commonTlsContext: {
        tlsCertificateSdsSecretConfigs: [secret(workloadSecret)],
        validationContextType: trust(secret(trustSecret), identities),
        alpnProtocols: [...alpn],
      },
    }),
  )
}

/** The mutual TLS of the mesh as a server: the client has to show a certificate of the mesh. */
export function meshDownstreamSocket(alpn: readonly string[], { meshTls }: MeshSettings): TransportSocket {
  return downstreamSocket(
    DownstreamTlsContext.fromPartial({
      requireClientCertificate: true,
      commonTlsContext: {
        tlsParams: limits(meshTls),
        tlsCertificateSdsSecretConfigs: [secret(workloadSecret)],
        validationContextType: trust(secret(trustSecret), []),
        alpnProtocols: [...alpn],
      },
    }),
  )
}

/** How a proxy is told to trust whom its operating system trusts: ours by a word, Envoy, which has none, by a file. */
export type SystemRoots = 'word' | 'file'

/** Ours or not: see {@link SystemRoots}. */
export function systemRootsOf({ isWeft }: { isWeft: boolean }): SystemRoots {
  return isWeft ? 'word' : 'file'
}

/** Where most systems and Envoy's images have the authorities they trust. */
const systemRootsFile = '/etc/ssl/certs/ca-certificates.crt'

function systemTrust(roots: SystemRoots) {
  return roots === 'word'
    ? { systemRootCerts: {} }
    : { trustedCa: { specifier: { $case: 'filename' as const, value: systemRootsFile } } }
}

/** TLS towards a server outside of the mesh, which has to show a certificate for its name of an authority the system trusts. */
export function publicUpstreamSocket(host: string, roots: SystemRoots): TransportSocket {
  const isAddress = isIP(host) !== 0
  const value = CertificateValidationContext.fromPartial({
    ...systemTrust(roots),
    matchTypedSubjectAltNames: [
      {
        sanType: isAddress ? SubjectAltNameMatcher_SanType.IP_ADDRESS : SubjectAltNameMatcher_SanType.DNS,
        matcher: { matchPattern: { $case: 'exact', value: host } },
      },
    ],
  })
  return upstreamSocket(
    UpstreamTlsContext.fromPartial({
      sni: isAddress ? '' : host,
      commonTlsContext: { alpnProtocols: ['http/1.1'], validationContextType: { $case: 'validationContext', value } },
    }),
  )
}

/** TLS as a DestinationRule's SIMPLE or MUTUAL states it; undefined for DISABLE and ISTIO_MUTUAL. */
export function clientSocket(
  settings: ClientTLSSettings,
  serverName: string,
  alpn: readonly string[],
  { systemRoots, mesh }: { systemRoots: SystemRoots; mesh: MeshSettings },
): TransportSocket | undefined {
  if (settings.mode !== ClientMode.SIMPLE && settings.mode !== ClientMode.MUTUAL) return undefined
  const common = CommonTlsContext.fromPartial({ alpnProtocols: [...alpn], tlsParams: statedLimits(mesh.tlsDefaults) })
  if (settings.credentialName !== '') {
    if (settings.mode === ClientMode.MUTUAL) {
      common.tlsCertificateSdsSecretConfigs = [credentialSecret(certificateName(settings.credentialName))]
    }
    common.validationContextType = trust(credentialSecret(authoritiesName(settings.credentialName)), settings.subjectAltNames)
  } else {
    if (settings.mode === ClientMode.MUTUAL) {
      common.tlsCertificates = CommonTlsContext.fromPartial({
        tlsCertificates: [
          {
            certificateChain: { specifier: { $case: 'filename', value: settings.clientCertificate } },
            privateKey: { specifier: { $case: 'filename', value: settings.privateKey } },
          },
        ],
      }).tlsCertificates
    }
    common.validationContextType = fileTrust(settings, systemRoots, mesh.verifiesServers)
  }
  return upstreamSocket(
    UpstreamTlsContext.fromPartial({ sni: settings.sni === '' ? serverName : settings.sni, commonTlsContext: common }),
  )
}

/** Trust in a file of roots, or in the system's where none is named; none at all when the settings say so. */
function fileTrust(
  settings: ClientTLSSettings,
  systemRoots: SystemRoots,
  verifies: boolean,
): CommonTlsContext['validationContextType'] {
  if (settings.insecureSkipVerify === true || (settings.caCertificates === '' && !verifies)) return undefined
  const roots =
    settings.caCertificates === '' || settings.caCertificates === 'system'
      ? systemTrust(systemRoots)
      : { trustedCa: { specifier: { $case: 'filename' as const, value: settings.caCertificates } } }
  const value = CertificateValidationContext.fromPartial({
    ...roots,
    crl: revocations(settings.caCrl),
    ...sanMatchers(settings.subjectAltNames),
  })
  return { $case: 'validationContext', value }
}

/** A file of what the authorities have revoked, where one is named. */
function revocations(file: string) {
  return file === '' ? undefined : { specifier: { $case: 'filename' as const, value: file } }
}

/** What a Gateway server's TLS block asks for; undefined where it does not terminate TLS. */
export function serverSocket(
  settings: ServerTLSSettings,
  alpn: readonly string[],
  mesh: MeshSettings,
): TransportSocket | undefined {
  if (settings.mode === ServerMode.PASSTHROUGH || settings.mode === ServerMode.AUTO_PASSTHROUGH) return undefined
  if (settings.mode === ServerMode.ISTIO_MUTUAL) return meshDownstreamSocket(alpn, mesh)
  const mutual = settings.mode === ServerMode.MUTUAL || settings.mode === ServerMode.OPTIONAL_MUTUAL
  const common = CommonTlsContext.fromPartial({
    tlsParams: {
      ...limits(mesh.tlsDefaults),
      ...(settings.minProtocolVersion === 0 ? {} : { tlsMinimumProtocolVersion: settings.minProtocolVersion }),
      tlsMaximumProtocolVersion: settings.maxProtocolVersion,
      ...(settings.cipherSuites.length === 0 ? {} : { cipherSuites: settings.cipherSuites }),
    },
    alpnProtocols: [...alpn],
  })
  const names = certificateNames(settings)
  const authorities = authoritiesOf(settings)
  if (names.length > 0) {
    common.tlsCertificateSdsSecretConfigs = names.map((name) => credentialSecret(certificateName(name)))
    if (mutual && authorities !== undefined)
      common.validationContextType = trust(credentialSecret(authoritiesName(authorities)), settings.subjectAltNames)
  } else {
    common.tlsCertificates = CommonTlsContext.fromPartial({
      tlsCertificates: [
        {
          certificateChain: { specifier: { $case: 'filename', value: settings.serverCertificate } },
          privateKey: { specifier: { $case: 'filename', value: settings.privateKey } },
        },
      ],
    }).tlsCertificates
    if (mutual) {
      const value = CertificateValidationContext.fromPartial({
        trustedCa: { specifier: { $case: 'filename', value: settings.caCertificates } },
        crl: revocations(settings.caCrl),
        verifyCertificateSpki: settings.verifyCertificateSpki,
        verifyCertificateHash: settings.verifyCertificateHash,
        ...sanMatchers(settings.subjectAltNames),
      })
      common.validationContextType = { $case: 'validationContext', value }
    }
  }
  const requireClientCertificate = settings.mode === ServerMode.MUTUAL
  return downstreamSocket(DownstreamTlsContext.fromPartial({ requireClientCertificate, commonTlsContext: common }))
}
