import { fileURLToPath } from 'node:url'
import { ServerCredentials } from '@grpc/grpc-js'
import { Readiness, startAdminServer } from '@weft/service/admin-server'
import { WeftError } from '@weft/service/errors'
import { type Flag, parseAddress, readFlags } from '@weft/service/flags'
import { startGrpcServer } from '@weft/service/grpc'
import { type Lifecycle, runService } from '@weft/service/lifecycle'
import { createLogger, type Logger, type LogLevel, logLevels } from '@weft/service/logger'
import { createRegistry, type Registry } from '@weft/service/metrics'
import { startTracing } from '@weft/service/tracing'
import { Exposition } from './adapters/prometheus/exposition.ts'
import { HandlerTable } from './config/handler-table.ts'
import { startMixerConfig } from './config/mixer-config.ts'
import { DispatchMetrics } from './dispatch/metrics.ts'
import { adminRoutes } from './serve/admin.ts'
import { envoyServices, warmUp } from './serve/envoy/services.ts'
import { createMixer } from './serve/mixer.ts'
import { mixerService } from './serve/mixer-service.ts'

const version = '0.1.0'

export interface MixerFlags {
  grpcAddress?: string
  plaintextGrpcAddress?: string
  adminAddress: string
  configDir: string[]
  adapterDir?: string
  redisUrl?: string
  defaults: boolean
  citadelAddress?: string
  rootCertFile?: string
  joinTokenFile?: string
  logLevel: LogLevel
}

/** Where Mixer listens. */
export interface MixerAddresses {
  /** `host:port` of the mTLS listener. */
  grpc: string | undefined
  plaintextGrpc: string | undefined
  /** URL of the admin server. */
  admin: string
}

const flags: Flag[] = [
  { flags: '--grpc-address <host:port>', description: 'Check and Report over mTLS; needs the three flags of Citadel' },
  { flags: '--plaintext-grpc-address <host:port>', description: 'Check and Report without TLS, for development and loopback' },
  {
    flags: '--admin-address <host:port>',
    description: 'health, metrics, status of the configuration',
    default: '127.0.0.1:15024',
  },
  {
    flags: '--config-dir <folder...>',
    description: 'folders of configuration, watched; the first overrides the others',
    default: [],
  },
  { flags: '--adapter-dir <folder>', description: 'folder of adapters of your own, one a file, watched' },
  { flags: '--redis-url <url>', description: 'Redis for redisquota handlers that name none' },
  { flags: '--no-defaults', description: "leave out Mixer's own manifest and the mesh's metrics" },
  { flags: '--citadel-address <host:port>', description: "Citadel's gRPC server, for the certificate of the mTLS listener" },
  { flags: '--root-cert-file <file>', description: 'root certificates by which Citadel is known' },
  { flags: '--join-token-file <file>', description: 'token that proves to Citadel who this is' },
  { flags: '--log-level <level>', description: 'least severe lines to log', default: 'info', choices: logLevels },
]

/** What every mesh starts with: the attribute vocabulary and the standard metrics. An operator's object of the same name wins. */
export const defaultConfigDir = fileURLToPath(new URL('../config', import.meta.url))

/** Reads the flags and runs Mixer until it is told to stop. */
export async function main(): Promise<void> {
  const options = readFlags<MixerFlags>('mixer', 'Policy and telemetry hub of the mesh', flags)
  const logger = createLogger('mixer', options.logLevel)
  await runService({ name: 'mixer', logger, start: async (lifecycle) => void (await startMixer(options, logger, lifecycle)) })
}

/** Wires Mixer and starts it; gives the addresses it listens on. */
export async function startMixer(options: MixerFlags, logger: Logger, lifecycle: Lifecycle): Promise<MixerAddresses> {
  const { grpcAddress, plaintextGrpcAddress, adminAddress, configDir, adapterDir, redisUrl, defaults } = options
  if (grpcAddress === undefined && plaintextGrpcAddress === undefined) {
    throw new WeftError('invalid_argument', 'Mixer has nothing to listen on', {
      hint: 'give --grpc-address with the flags of Citadel, or --plaintext-grpc-address',
    })
  }
  const registry = createRegistry('mixer', version)
  const readiness = new Readiness()
  readiness.hold('configuration', 'not read yet')
  await startTracing('mixer', version, lifecycle, logger)

  const exposition = new Exposition()
  exposeWith(registry, exposition)
  const metrics = new DispatchMetrics(registry, exposition, logger)
  const credentials = await mtlsCredentials(options, { logger, lifecycle, readiness, registry })
  const config = await startMixerConfig({
    configDirs: configDir,
    defaultDirs: defaults ? [defaultConfigDir] : [],
    adapterDir,
    handlers: new HandlerTable({ logger, metrics, exposition, redisUrl }),
    logger,
    registry,
  })
  lifecycle.onStop('configuration', () => config.close())

  const mixer = createMixer({ plan: () => config.plan, metrics })
  const listen = async (address: string, serverCredentials: ServerCredentials): Promise<string> => {
    const services = [mixerService(mixer), ...envoyServices(mixer)]
    const port = await startGrpcServer({ address, credentials: serverCredentials, services, lifecycle, drainMs: 2_000 })
    return `${parseAddress(address).host}:${port}`
  }
  const grpc = grpcAddress === undefined || credentials === undefined ? undefined : await listen(grpcAddress, credentials)
  const plaintextGrpc =
    plaintextGrpcAddress === undefined ? undefined : await listen(plaintextGrpcAddress, ServerCredentials.createInsecure())
  const routes = (server: Parameters<typeof adminRoutes>[0]) => adminRoutes(server, config)
  const admin = await startAdminServer({ address: adminAddress, logger, readiness, registry, lifecycle, routes })
  readiness.release('configuration')
  warmUp(lifecycle)
  const addresses = { grpc, plaintextGrpc, admin }
  logger.info(addresses, 'listening')
  return addresses
}

interface IdentityParts {
  logger: Logger
  lifecycle: Lifecycle
  readiness: Readiness
  registry: Registry
}

/** Credentials of the mTLS listener, rotated by Citadel; undefined where there is no such listener. */
async function mtlsCredentials(options: MixerFlags, parts: IdentityParts): Promise<ServerCredentials | undefined> {
  const { grpcAddress, citadelAddress, rootCertFile, joinTokenFile } = options
  if (grpcAddress === undefined) return undefined
  if (citadelAddress === undefined || rootCertFile === undefined || joinTokenFile === undefined) {
    throw new WeftError('invalid_argument', '--grpc-address is for mTLS, and there is no certificate for it', {
      hint: 'give --citadel-address, --root-cert-file and --join-token-file, or use --plaintext-grpc-address',
    })
  }
  const { createIdentity } = await import('@weft/identity/client')
  return createIdentity({ citadelAddress, rootCertFile, joinTokenFile, ...parts }).serverCredentials('required')
}

/** Adds what handlers expose to what the service itself does. */
function exposeWith(registry: Registry, exposition: Exposition): void {
  const own = registry.metrics.bind(registry)
  registry.metrics = async () => `${await own()}${exposition.text()}`
}
