import { CertificateHolder } from '@weft/identity/certificate-holder'
import { rotatingServerCredentials } from '@weft/identity/credentials'
import { parseTrustDomain } from '@weft/identity/spiffe-id'
import { Readiness, startAdminServer } from '@weft/service/admin-server'
import { WeftError } from '@weft/service/errors'
import { durationSeconds, type Flag, parseAddress, readFlags, wholeNumber } from '@weft/service/flags'
import { startGrpcServer } from '@weft/service/grpc'
import { type Lifecycle, runService } from '@weft/service/lifecycle'
import { createLogger, type Logger, type LogLevel, logLevels } from '@weft/service/logger'
import { createRegistry, Gauge, type Registry } from '@weft/service/metrics'
import { startTracing } from '@weft/service/tracing'
import type { TokenAttestor } from './attest/attestation.ts'
import { openJoinTokens } from './attest/join-token.ts'
import { createJwtAttestor } from './attest/jwt.ts'
import { createNomadAttestor } from './attest/nomad.ts'
import type { Authority } from './authority/authority.ts'
import { CurrentAuthority } from './authority/current.ts'
import { fileMode, openDataDir, writeFileAtomically } from './authority/files.ts'
import { openPluggedInAuthority } from './authority/plugged-in.ts'
import { RootRotation } from './authority/rotation.ts'
import { openSelfSignedAuthority } from './authority/self-signed.ts'
import { createDesk } from './issue/desk.ts'
import type { IssuePolicy } from './issue/policy.ts'
import { adminRoutes, openOperatorToken } from './serve/admin.ts'
import { caService, certificateService } from './serve/certificate-service.ts'
import { keepOwnCertificate } from './serve/own-certificate.ts'
import { secretService } from './serve/secrets/service.ts'
import { OpenStreams } from './serve/secrets/streams.ts'

const version = '0.1.0'

/** Longest lifetime of a certificate that can be configured: a year. */
const mostTtlSeconds = 366 * 86_400

/** Where Citadel listens: `host:port` for gRPC, a URL for the admin server. */
export interface CitadelAddresses {
  grpc: string
  admin: string
}

export interface CitadelFlags {
  grpcAddress: string
  adminAddress: string
  dataDir: string
  trustDomain: string
  rootCertFile?: string
  caDir?: string
  /** Seconds. */
  workloadTtl?: number
  /** Seconds. */
  maxWorkloadTtl?: number
  dnsName: string[]
  jwtIssuer?: string
  jwtJwks?: string
  jwtAudience: string[]
  /** How service-account tokens of Kubernetes are verified. */
  kubernetes?: 'review' | 'offline'
  kubeconfig?: string
  kubernetesAudience: string[]
  rootConfigMap?: string
  nomadJwks?: string
  nomadIssuer: string
  nomadAudience: string[]
  /** Certificates a second for one identity, in the long run. */
  csrRate?: number
  /** Certificates at once for one identity. */
  csrBurst?: number
  logLevel: LogLevel
}

const flags: Flag[] = [
  { flags: '--grpc-address <host:port>', description: 'certificate services and SDS, over TLS', default: '127.0.0.1:8060' },
  { flags: '--admin-address <host:port>', description: 'health, metrics, trust bundle, tokens', default: '127.0.0.1:15014' },
  { flags: '--data-dir <folder>', description: 'root key, token key and operator token', default: './citadel-data' },
  { flags: '--trust-domain <name>', description: 'trust domain of all identities', default: 'cluster.local' },
  { flags: '--root-cert-file <file>', description: 'write the root certificates here, for those that join' },
  { flags: '--ca-dir <folder>', description: 'sign with ca-cert.pem and ca-key.pem of this folder instead of an own root' },
  {
    flags: '--workload-ttl <time>',
    description: 'lifetime of certificates (default: 24h)',
    parse: durationSeconds(5, mostTtlSeconds),
  },
  {
    flags: '--max-workload-ttl <time>',
    description: 'longest lifetime that may be asked for (default: 90d)',
    parse: durationSeconds(5, mostTtlSeconds),
  },
  { flags: '--dns-name <name...>', description: 'further names under which Citadel is reached', default: [] },
  { flags: '--jwt-issuer <issuer>', description: 'also accept tokens of this issuer' },
  { flags: '--jwt-jwks <url>', description: 'where the keys of that issuer are: a URL, or a file' },
  { flags: '--jwt-audience <name...>', description: 'for whom its tokens have to be made', default: [] },
  {
    flags: '--kubernetes <mode>',
    description: 'also accept service-account tokens of pods: review asks the API server, offline verifies by its keys',
    choices: ['review', 'offline'],
  },
  {
    flags: '--root-config-map <name>',
    description: 'keep the root certificates in a ConfigMap of this name in every namespace of Kubernetes',
  },
  { flags: '--kubeconfig <file>', description: "how the API server is reached (default: as this pod's service account)" },
  {
    flags: '--kubernetes-audience <name...>',
    description: 'for whom service-account tokens have to be made',
    default: ['istio-ca'],
  },
  {
    flags: '--nomad-jwks <url>',
    description: 'also accept workload identities of Nomad, whose keys are at this URL or in this file',
  },
  { flags: '--nomad-issuer <issuer>', description: "Nomad's oidc_issuer, where it has one", default: '' },
  { flags: '--nomad-audience <name...>', description: 'for whom workload identities have to be made', default: ['weft'] },
  {
    flags: '--csr-rate <number>',
    description: 'certificates a second for one identity (default: 50)',
    parse: wholeNumber(1, 1e6),
  },
  {
    flags: '--csr-burst <number>',
    description: 'certificates at once for one identity (default: 1000)',
    parse: wholeNumber(1, 1e6),
  },
  { flags: '--log-level <level>', description: 'least severe lines to log', default: 'info', choices: logLevels },
]

/** Reads the flags and runs Citadel until it is told to stop. */
export async function main(): Promise<void> {
  const options = readFlags<CitadelFlags>('citadel', 'Identity of the mesh: issues and rotates certificates', flags)
  const logger = createLogger('citadel', options.logLevel)
  await runService({ name: 'citadel', logger, start: async (lifecycle) => void (await startCitadel(options, logger, lifecycle)) })
}

/** Wires Citadel and starts it; gives the addresses it listens on. */
export async function startCitadel(options: CitadelFlags, logger: Logger, lifecycle: Lifecycle): Promise<CitadelAddresses> {
  const { dataDir, dnsName } = options
  const trustDomain = parseTrustDomain(options.trustDomain)
  const defaultTtlSeconds = options.workloadTtl ?? 24 * 3600
  const policy: IssuePolicy = {
    defaultTtlSeconds,
    maxTtlSeconds: options.maxWorkloadTtl ?? Math.max(90 * 86_400, defaultTtlSeconds),
  }
  const registry = createRegistry('citadel', version)
  const readiness = new Readiness()
  readiness.hold('grpc', 'not listening yet')
  await startTracing('citadel', version, lifecycle, logger)

  await openDataDir(dataDir)
  const [authority, tokens, operatorToken] = await Promise.all([
    openAuthority(options, trustDomain, logger).then((opened) => new CurrentAuthority(opened)),
    openJoinTokens(dataDir, trustDomain),
    openOperatorToken(dataDir),
  ])
  authorityMetrics(authority, registry)
  await publishRoots(options.rootCertFile, authority, logger)

  const holder = new CertificateHolder()
  await keepOwnCertificate({
    authority,
    trustDomain,
    ttlSeconds: defaultTtlSeconds,
    dnsNames: dnsName,
    holder,
    lifecycle,
    logger,
  })
  // Certificates of an earlier life of this process are not known, but have lasted since its start at most.
  let lastExpiry = Date.now() + defaultTtlSeconds * 1000
  const streams = new OpenStreams()
  const rotation =
    options.caDir !== undefined
      ? undefined
      : await RootRotation.open({
          authority,
          dataDir,
          trustDomain,
          passphrase: passphrase(),
          logger,
          unsettled() {
            const { outstanding, streams: all, settled } = streams.status()
            const [first] = outstanding
            return first && `${all - settled} of ${all} proxies have not taken it, such as ${first.identity}: ${first.reason}`
          },
          lastExpiry: () => new Date(lastExpiry),
        })
  const kubernetes = await kubernetesAttestors(options, trustDomain, lifecycle)
  await publishInCluster(options, authority, logger, lifecycle)
  const desk = createDesk({
    onIssued(api, { notAfter }) {
      if (api !== 'sds') lastExpiry = Math.max(lastExpiry, notAfter.getTime())
    },
    authority: () => authority.get(),
    attestation: {
      trustDomain,
      tokens: [tokens, ...jwtAttestors(options, trustDomain), ...kubernetes, ...nomadAttestors(options, trustDomain)],
    },
    limit: { ratePerSecond: options.csrRate ?? 50, burst: options.csrBurst ?? 1_000 },
    maxWaiting: 10_000,
    registry,
    logger,
  })
  const port = await startGrpcServer({
    address: options.grpcAddress,
    credentials: rotatingServerCredentials(holder, 'optional'),
    services: [
      certificateService(desk, policy),
      caService(desk, policy),
      secretService({ desk, authority, policy, logger, registry, streams, maxStreams: 20_000 }),
    ],
    lifecycle,
    drainMs: 1_000,
  })
  readiness.release('grpc')
  const admin = await startAdminServer({
    address: options.adminAddress,
    logger,
    readiness,
    registry,
    lifecycle,
    routes: (server) => adminRoutes(server, { authority, tokens, trustDomain, operatorToken, rotation, streams }),
  })
  const addresses = { grpc: `${parseAddress(options.grpcAddress).host}:${port}`, admin }
  logger.info({ ...addresses, trustDomain }, 'listening')
  return addresses
}

function openAuthority({ caDir, dataDir }: CitadelFlags, trustDomain: string, logger: Logger): Promise<Authority> {
  if (caDir !== undefined) return openPluggedInAuthority(caDir, passphrase())
  return openSelfSignedAuthority({ dataDir, trustDomain, passphrase: passphrase(), logger })
}

/** Of the CA key, from the environment: a flag would show in the list of processes. */
function passphrase(): string | undefined {
  return process.env['WEFT_CA_PASSPHRASE'] || undefined
}

function jwtAttestors(
  { jwtIssuer: issuer, jwtJwks: jwks, jwtAudience: audiences }: CitadelFlags,
  trustDomain: string,
): TokenAttestor[] {
  if (issuer === undefined && jwks === undefined) return []
  if (issuer === undefined || jwks === undefined || audiences.length === 0) {
    throw new WeftError('invalid_argument', '--jwt-issuer, --jwt-jwks and --jwt-audience go together', {
      hint: 'give all three: a token that names no audience of ours was made for someone else',
    })
  }
  return [createJwtAttestor({ issuer, jwks, audiences, trustDomain })]
}

/** Loaded only where it is asked for. */
function nomadAttestors(
  { nomadJwks: jwks, nomadIssuer: issuer, nomadAudience: audiences }: CitadelFlags,
  trustDomain: string,
): TokenAttestor[] {
  return jwks === undefined ? [] : [createNomadAttestor({ jwks, issuer, audiences, trustDomain })]
}

async function kubernetesAttestors(
  { kubernetes: mode, kubeconfig, kubernetesAudience: audiences }: CitadelFlags,
  trustDomain: string,
  lifecycle: Lifecycle,
): Promise<TokenAttestor[]> {
  if (mode === undefined) return []
  const [{ findAccess }, { KubernetesClient }, { createKubernetesAttestor }] = await Promise.all([
    import('@weft/kubernetes/access'),
    import('@weft/kubernetes/client'),
    import('./attest/kubernetes.ts'),
  ])
  const client = new KubernetesClient(await findAccess({ kubeconfig }))
  lifecycle.onStop('Kubernetes', () => client.close())
  return [createKubernetesAttestor({ client, audiences, trustDomain, mode })]
}

/** Keeps the roots where the pods of a cluster mount them, if that is asked for. */
async function publishInCluster(
  { rootConfigMap: name, kubeconfig }: CitadelFlags,
  authority: CurrentAuthority,
  logger: Logger,
  lifecycle: Lifecycle,
): Promise<void> {
  if (name === undefined) return
  const [{ findAccess }, { KubernetesClient }, { keepRootConfigMaps }] = await Promise.all([
    import('@weft/kubernetes/access'),
    import('@weft/kubernetes/client'),
    import('./serve/root-config-maps.ts'),
  ])
  const client = new KubernetesClient(await findAccess({ kubeconfig }))
  lifecycle.onStop('Kubernetes', () => client.close())
  keepRootConfigMaps({ client, name, authority, lifecycle, logger })
}

/** Writes the roots where those that join find them, now and at every change. */
async function publishRoots(file: string | undefined, authority: CurrentAuthority, logger: Logger): Promise<void> {
  if (file === undefined) return
  const write = (): Promise<void> => writeFileAtomically(file, authority.get().bundlePem, fileMode.public)
  await write()
  let writing = Promise.resolve()
  authority.onChange(() => {
    writing = writing
      .then(write)
      .catch((error: unknown) => logger.error({ err: error }, 'the root certificates were not written'))
  })
}

function authorityMetrics(authority: CurrentAuthority, registry: Registry): void {
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value())
      },
    })
  }
  gauge('weft_citadel_signing_certificate_expiry_seconds', 'Unix time at which the signing certificate expires', () => {
    return authority.get().certificate.validToDate.getTime() / 1000
  })
  gauge('weft_citadel_root_certificate_expiry_seconds', 'Unix time at which the first of the roots expires', () => {
    return Math.min(...authority.get().roots.map((root) => root.validToDate.getTime())) / 1000
  })
}
