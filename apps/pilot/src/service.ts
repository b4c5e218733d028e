import { readFile } from 'node:fs/promises'
import { ServerCredentials } from '@grpc/grpc-js'
import { readMeshConfig } from '@weft/config/mesh-config'
import type { ConfigObject, RawObject } from '@weft/config/objects'
import { describeProblem } from '@weft/config/problem'
import type { LoadedConfig } from '@weft/config/watch/loaded'
import { createIdentity, type Identity } from '@weft/identity/client'
import { Readiness, startAdminServer } from '@weft/service/admin-server'
import { WeftError } from '@weft/service/errors'
import { parseAddress, readFlags } from '@weft/service/flags'
import { startGrpcServer } from '@weft/service/grpc'
import { type Lifecycle, runService } from '@weft/service/lifecycle'
import { createLogger, type Logger, type LogLevel, logLevels } from '@weft/service/logger'
import { createRegistry } from '@weft/service/metrics'
import { FolderCredentials } from './credentials/folder-credentials.ts'
import { defaultMeshSettings, type MeshSettings, meshSettings, withoutEffect } from './model/mesh-settings.ts'
import { findDanglingReferences } from './model/references.ts'
import { Snapshots } from './model/snapshots.ts'
import { Registration } from './registration/registration.ts'
import { FileRegistry } from './registries/file/file-registry.ts'
import { followRegistries } from './registries/follow.ts'
import { openRegistry, parseRegistry } from './registries/open.ts'
import type { Registry } from './registries/registry.ts'
import { untilSynced } from './registries/until-synced.ts'
import { createDiscovery } from './serve/discovery.ts'
import { apiRoutes } from './serve/http/routes.ts'
import { isLoopback, writeGuard } from './serve/http/write-guard.ts'
import { ConfigSource } from './sources/config-source.ts'
import { openConfigSource } from './sources/open.ts'
import { MeshProblems } from './status/mesh-problems.ts'
import { ProxyStatuses } from './status/proxy-statuses.ts'
import { PushMetrics } from './status/push-metrics.ts'
import { createRegistryMetrics } from './status/registry-metrics.ts'

interface Flags {
  grpcAddress?: string
  plaintextGrpcAddress?: string
  adminAddress: string
  configDir: string[]
  registry: string[]
  configSource: string[]
  credentialsDir?: string
  meshConfig?: string
  domain: string
  trustDomain: string
  citadelAddress?: string
  rootCertFile?: string
  joinTokenFile?: string
  operatorTokenFile?: string
  webhookAddress?: string
  webhookDnsName: string[]
  injectionValues?: string
  nativeSidecars: 'true' | 'false'
  revision?: string
  logLevel: LogLevel
}

const version = '0.1.0'

/** Runs Pilot by its flags until SIGTERM. */
export async function main(argv: readonly string[] = process.argv): Promise<void> {
  const flags = readFlags<Flags>(
    'pilot',
    'Serves proxies their configuration (Envoy xDS v3) from services and Istio YAML',
    [
      {
        flags: '--grpc-address <address>',
        description: 'ADS over mutual TLS; needs --citadel-address, --root-cert-file, --join-token-file',
      },
      { flags: '--plaintext-grpc-address <address>', description: 'ADS without TLS, for development, on loopback only' },
      { flags: '--admin-address <address>', description: 'HTTP: health, metrics and the /v1 API', default: '127.0.0.1:15014' },
      {
        flags: '--config-dir <dir...>',
        description: 'folders with YAML, watched; what is applied is written into the first',
        default: [],
      },
      {
        flags: '--registry <platform...>',
        description: 'where services come from besides the folders: PLATFORM=URL?OPTIONS, such as consul=http://127.0.0.1:8500',
        default: [],
      },
      {
        flags: '--config-source <platform...>',
        description: 'where configuration comes from besides the folders: kubernetes[=?OPTIONS] reads its custom resources',
        default: [],
      },
      {
        flags: '--credentials-dir <dir>',
        description: 'what credentialName of Gateways names: NAMESPACE/ACCOUNT/NAME/ with tls.crt, tls.key, ca.crt; watched',
      },
      { flags: '--mesh-config <file>', description: 'MeshConfig as YAML' },
      { flags: '--domain <domain>', description: 'DNS domain of the mesh', default: defaultMeshSettings.domain },
      { flags: '--trust-domain <domain>', description: 'of SPIFFE ids', default: defaultMeshSettings.trustDomain },
      { flags: '--citadel-address <address>', description: "Citadel's gRPC address" },
      { flags: '--root-cert-file <file>', description: "the root of Citadel's own certificate" },
      { flags: '--join-token-file <file>', description: 'how Pilot proves itself to Citadel' },
      { flags: '--operator-token-file <file>', description: 'whoever bears this token may change the configuration' },
      {
        flags: '--webhook-address <address>',
        description: 'HTTPS: the webhook that injects sidecars into pods of Kubernetes; needs what --grpc-address needs',
      },
      {
        flags: '--webhook-dns-name <name...>',
        description: "the name of Pilot's Service: SERVICE-ACCOUNT.NAMESPACE.svc",
        default: [],
      },
      { flags: '--injection-values <file>', description: "how pods are injected: values as of Istio's charts, watched" },
      {
        flags: '--native-sidecars <choice>',
        description: 'whether sidecars are restartable init containers, which Kubernetes has since 1.33',
        choices: ['true', 'false'],
        default: 'true',
      },
      { flags: '--revision <name>', description: 'of this control plane; the pods it injects name it' },
      { flags: '--log-level <level>', description: 'how much is logged', choices: logLevels, default: 'info' },
    ],
    argv,
  )
  const logger = createLogger('pilot', flags.logLevel)
  await runService({ name: 'pilot', logger, start: (lifecycle) => start(flags, logger, lifecycle) })
}

async function start(flags: Flags, logger: Logger, lifecycle: Lifecycle): Promise<void> {
  checkAddresses(flags)
  const metrics = createRegistry('pilot', version)
  const readiness = new Readiness()
  const mesh = await readMesh(flags, logger)
  const problems = new MeshProblems(logger, metrics)

  const files = new FileRegistry(mesh)
  const registries: Registry[] = [files]
  for (const spec of flags.registry.map(parseRegistry)) {
    const opened = await openRegistry(spec, { mesh, logger })
    registries.push(opened)
    lifecycle.onStop(`registry ${opened.name}`, () => opened.close())
  }
  createRegistryMetrics(registries, metrics)
  const snapshots = new Snapshots(mesh, registries)
  const pushMetrics = new PushMetrics(metrics)
  const statuses = new ProxyStatuses(() => snapshots.current, pushMetrics)
  snapshots.subscribe(({ snapshot, changedAtMs }) => pushMetrics.changed(snapshot.version, changedAtMs))

  const revision = flags.revision || 'default'
  const sources = await Promise.all(flags.configSource.map((text) => openConfigSource(text, { mesh, logger, revision })))
  const providers = sources.map(({ provider }) => provider)
  for (const provider of providers) lifecycle.onStop(`config source ${provider.name}`, () => provider.close())
  const [credentials, second] = [
    ...sources.flatMap((source) => source.credentials ?? []),
    ...(flags.credentialsDir === undefined ? [] : [await FolderCredentials.open({ folder: flags.credentialsDir, logger })]),
  ]
  if (second !== undefined) {
    throw new WeftError('invalid_argument', '--credentials-dir does not go with --config-source kubernetes', {
      hint: 'put the certificates into Secrets of the cluster',
    })
  }
  if (credentials !== undefined) {
    lifecycle.onStop('credentials', () => credentials.close())
    snapshots.setCredentials(credentials.current)
    credentials.subscribe(() => {
      snapshots.setCredentials(credentials.current)
      snapshots.rebuild()
    })
  }
  const source = await ConfigSource.open({
    folders: flags.configDir,
    providers,
    onError: (err) => logger.error({ err }, 'reading the configuration failed'),
    onChange: (config) => {
      const objects = typedObjects(config)
      files.update(objects)
      snapshots.setObjects(objects)
      snapshots.setRawObjects(rawObjects(config))
      problems.set([...config.problems, ...findDanglingReferences(snapshots.rebuild())])
    },
  })
  lifecycle.onStop('configuration', () => source.close())
  for (const { writeStatus } of sources) {
    const writer = writeStatus(statuses, () => snapshots.current.version)
    lifecycle.onStop('status writer', () => writer.close())
  }
  const stopFollowing = followRegistries(registries.slice(1), () => {
    const { services } = snapshots.current
    const next = snapshots.rebuild()
    if (next.services !== services) problems.set([...source.current.problems, ...findDanglingReferences(next)])
  })
  lifecycle.onStop('following registries', stopFollowing)

  const allowUnauthenticated = flags.plaintextGrpcAddress !== undefined
  const registration = new Registration({
    objects: () => snapshots.current.objects,
    write: flags.configDir.length === 0 ? undefined : (documents, removed) => register(source, documents, removed),
    logger,
  })
  lifecycle.onStop('registration', () => registration.close())
  const discovery = createDiscovery({
    snapshots,
    observer: statuses,
    logger,
    metrics,
    lifecycle,
    allowUnauthenticated,
    registration,
    credentials,
  })
  const guard = writeGuard(flags.adminAddress, flags.operatorTokenFile)
  const parts = { source, snapshot: () => snapshots.current, statuses, problems, registries, guard }
  const admin = await startAdminServer({
    address: flags.adminAddress,
    logger,
    readiness,
    registry: metrics,
    lifecycle,
    routes: (server) => apiRoutes(server, parts),
  })
  // Proxies keep what they have while Pilot is away; from one that knows half they would lose the other half.
  const synced = { readiness, logger, signal: lifecycle.signal }
  await Promise.all([untilSynced('registry', registries, synced), untilSynced('config source', providers, synced)])
  if (lifecycle.signal.aborted) return
  snapshots.rebuild()
  registration.start()
  const common: Common = { logger, lifecycle, readiness, metrics }
  const identity = openIdentity(flags, common)
  const [webhook, ...grpcPorts] = await Promise.all([
    injectionWebhook(flags, identity, common),
    ...grpcServers(flags, discovery.services, identity, common),
  ])
  logger.info({ admin, grpcPorts, webhook, objects: source.current.objects.size }, 'pilot serves')
}

/** Writes what registered itself, and takes away what left. */
async function register(source: ConfigSource, documents: readonly string[], removed: readonly string[]): Promise<void> {
  const files = documents.map((content) => ({ name: 'registered', content }))
  const { problems } = await source.apply(files, removed)
  const [problem] = problems.filter(({ severity }) => severity === 'error')
  if (problem !== undefined) throw new WeftError('invalid_argument', describeProblem(problem))
}

interface Common {
  logger: Logger
  lifecycle: Lifecycle
  readiness: Readiness
  metrics: ReturnType<typeof createRegistry>
}

type Services = ReturnType<typeof createDiscovery>['services']

/** Pilot's certificate of Citadel; undefined where nothing is served over TLS. */
function openIdentity(flags: Flags, { metrics, ...common }: Common): Identity | undefined {
  const { citadelAddress, rootCertFile, joinTokenFile, trustDomain, webhookDnsName: dnsNames } = flags
  if (flags.grpcAddress === undefined && flags.webhookAddress === undefined) return undefined
  if (citadelAddress === undefined || rootCertFile === undefined || joinTokenFile === undefined) return undefined
  return createIdentity({ citadelAddress, rootCertFile, joinTokenFile, trustDomain, dnsNames, ...common, registry: metrics })
}

/** Serves the injection webhook where it is asked for, and keeps Pilot's roots in its configuration; gives its URL. */
async function injectionWebhook(flags: Flags, identity: Identity | undefined, common: Common): Promise<string | undefined> {
  const { webhookAddress: address, revision } = flags
  if (address === undefined || identity === undefined) return undefined
  const { logger, lifecycle, metrics: registry } = common
  const { startWebhook } = await import('./inject/webhook.ts')
  const { followSettings } = await import('./inject/settings-file.ts')
  const nativeSidecars = flags.nativeSidecars === 'true'
  const files = { values: flags.injectionValues, meshConfig: flags.meshConfig, revision, nativeSidecars }
  const settings = await followSettings(files, logger)
  // Stopped before there was a certificate.
  if ((await identity.ready().catch(() => undefined)) === undefined) return undefined
  const url = await startWebhook({ address, identity, settings, lifecycle, logger, registry })
  const { findAccess } = await import('@weft/kubernetes/access')
  const access = await findAccess().catch((thrown: unknown) => {
    logger.warn(`write the mesh's roots into the webhook configuration yourself: ${WeftError.from(thrown).describe()}`)
  })
  if (access === undefined) return url
  const { KubernetesClient } = await import('@weft/kubernetes/client')
  const { keepCaBundles } = await import('./inject/ca-bundle.ts')
  const client = new KubernetesClient(access)
  lifecycle.onStop('Kubernetes', () => client.close())
  keepCaBundles({ client, identity, revision: revision ?? '', lifecycle, logger })
  return url
}

function grpcServers(flags: Flags, services: Services, identity: Identity | undefined, { lifecycle }: Common): Promise<number>[] {
  const servers: Promise<number>[] = []
  if (flags.plaintextGrpcAddress !== undefined) {
    const credentials = ServerCredentials.createInsecure()
    servers.push(startGrpcServer({ address: flags.plaintextGrpcAddress, credentials, services: [...services], lifecycle }))
  }
  if (flags.grpcAddress !== undefined && identity !== undefined) {
    const credentials = identity.serverCredentials('required')
    servers.push(startGrpcServer({ address: flags.grpcAddress, credentials, services: [...services], lifecycle }))
  }
  return servers
}

function checkAddresses(flags: Flags): void {
  if (flags.plaintextGrpcAddress !== undefined && !isLoopback(parseAddress(flags.plaintextGrpcAddress).host)) {
    throw new WeftError('invalid_argument', `--plaintext-grpc-address ${flags.plaintextGrpcAddress} is not on loopback`, {
      hint: 'write 127.0.0.1:PORT, or use --grpc-address with mutual TLS',
    })
  }
  if (flags.grpcAddress === undefined && flags.plaintextGrpcAddress === undefined) {
    throw new WeftError('invalid_argument', 'no address to serve proxies on', {
      hint: 'give --grpc-address or --plaintext-grpc-address',
    })
  }
  const asked = flags.grpcAddress !== undefined ? '--grpc-address' : '--webhook-address'
  if (flags.grpcAddress === undefined && flags.webhookAddress === undefined) return
  for (const name of ['citadelAddress', 'rootCertFile', 'joinTokenFile'] as const) {
    if (flags[name] !== undefined) continue
    const option = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    throw new WeftError('invalid_argument', `${asked} needs ${option}`, {
      hint: 'Pilot serves over mutual TLS, with a certificate of Citadel',
    })
  }
}

async function readMesh(flags: Flags, logger: Logger): Promise<MeshSettings> {
  const { domain, trustDomain } = flags
  const base: MeshSettings = { ...defaultMeshSettings, domain, trustDomain }
  if (flags.meshConfig === undefined) return base
  const file = flags.meshConfig
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WeftError('not_found', `the mesh configuration cannot be read: ${WeftError.from(cause).message}`, {
      where: { file },
      cause,
    })
  })
  const config = readMeshConfig(text, file)
  const unheeded = withoutEffect(config)
  if (unheeded.length > 0) logger.warn({ file }, `without effect here: ${unheeded.join(', ')}`)
  try {
    return meshSettings(config, base)
  } catch (thrown) {
    const { code, message, where, hint } = WeftError.from(thrown)
    throw new WeftError(code, message, { where: { file, ...where }, hint, cause: thrown })
  }
}

function rawObjects(config: LoadedConfig): Map<string, RawObject> {
  const objects = new Map<string, RawObject>()
  for (const [key, loaded] of config.objects) if (loaded.type === 'raw') objects.set(key, loaded.object)
  return objects
}

function typedObjects(config: LoadedConfig): Map<string, ConfigObject> {
  const objects = new Map<string, ConfigObject>()
  for (const [key, loaded] of config.objects) if (loaded.type === 'object') objects.set(key, loaded.object)
  return objects
}
