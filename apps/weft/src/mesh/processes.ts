import { delimiter, dirname, join } from 'node:path'
import { leanMemory } from '@weft/service/lean-memory'
import { citadelHost, mixerHost, pilotHost, ports, trustDomain } from './addresses.ts'
import { type BootstrapOptions, proxyBootstrap } from './bootstrap.ts'
import type { ProcessSpec } from './managed-process.ts'
import type { GatewayPlan, Instance } from './plan.ts'
import { compileCacheFolder, mixerDefaults, type Program, type Programs } from './programs.ts'

/** Where a mesh keeps its files, all inside its state folder. */
export interface MeshFiles {
  state: string
  logs: string
  /** YAML written by the supervisor for Pilot. */
  generated: string
  /** YAML that `weft apply` gave. */
  applied: string
  tokens: string
  bootstraps: string
  citadelData: string
  operatorToken: string
  rootCert: string
  meshConfig: string
  adapters: string
  /** Certificates that Gateways name, put there by the user. */
  credentials: string
}

export function meshFiles(state: string): MeshFiles {
  return {
    state,
    logs: join(state, 'logs'),
    generated: join(state, 'generated'),
    applied: join(state, 'applied'),
    tokens: join(state, 'tokens'),
    bootstraps: join(state, 'bootstraps'),
    citadelData: join(state, 'citadel'),
    operatorToken: join(state, 'citadel', 'operator.token'),
    rootCert: join(state, 'root-cert.pem'),
    meshConfig: join(state, 'mesh-config.yaml'),
    adapters: join(state, 'adapters'),
    credentials: join(state, 'credentials'),
  }
}

export interface ProcessContext {
  octet: number
  /** The mesh folder that the user gave. */
  folder: string
  files: MeshFiles
  programs: Programs
  redisUrl: string | undefined
  concurrency: number
  /** Mixer adapters of the user's own. */
  adapterFolder: string
}

const stopMs = 4_000

export const tokenFile = (files: MeshFiles, name: string): string => join(files.tokens, `${name}.token`)
export const bootstrapFile = (files: MeshFiles, name: string): string => join(files.bootstraps, `${name}.json`)

export function citadelProcess(context: ProcessContext): ProcessSpec {
  const { octet, files } = context
  const host = citadelHost(octet)
  return service(context, 'citadel', 'citadel', context.programs.citadel, host, [
    ...['--grpc-address', `${host}:${ports.citadel}`, '--admin-address', `${host}:${ports.admin}`],
    ...['--data-dir', files.citadelData, '--trust-domain', trustDomain, '--root-cert-file', files.rootCert],
  ])
}

export function pilotProcess(context: ProcessContext): ProcessSpec {
  const { octet, files } = context
  const host = pilotHost(octet)
  return service(context, 'pilot', 'pilot', context.programs.pilot, host, [
    ...['--grpc-address', `${host}:${ports.pilot}`, '--admin-address', `${host}:${ports.admin}`],
    // What is applied is written into the first, which overrides the others. Mixer's own rules tell Pilot who needs Mixer.
    ...['--config-dir', files.applied, '--config-dir', context.folder, '--config-dir', files.generated],
    ...['--config-dir', mixerDefaults],
    ...['--mesh-config', files.meshConfig, '--domain', 'cluster.local', '--trust-domain', trustDomain],
    ...identityFlags(context, 'pilot'),
    ...['--operator-token-file', files.operatorToken, '--credentials-dir', files.credentials],
  ])
}

export function mixerProcess(context: ProcessContext, replica: number): ProcessSpec {
  const { octet, files } = context
  const host = mixerHost(octet, replica)
  return service(context, mixerName(replica), 'mixer', context.programs.mixer, host, [
    ...['--grpc-address', `${host}:${ports.mixer}`, '--admin-address', `${host}:${ports.admin}`],
    ...['--config-dir', files.applied, '--config-dir', context.folder, '--adapter-dir', context.adapterFolder],
    ...(context.redisUrl === undefined ? [] : ['--redis-url', context.redisUrl]),
    ...identityFlags(context, 'mixer'),
  ])
}

const mixerName = (replica: number): string => (replica === 0 ? 'mixer' : `mixer-${replica + 1}`)

function identityFlags({ octet, files }: ProcessContext, name: string): string[] {
  return [
    ...['--citadel-address', `${citadelHost(octet)}:${ports.citadel}`, '--root-cert-file', files.rootCert],
    ...['--join-token-file', tokenFile(files, name)],
  ]
}

/** The sidecar or gateway that runs from a bootstrap file, ready when its admin server says so. */
export function proxyProcess(context: ProcessContext, name: string, kind: 'sidecar' | 'gateway', address: string): ProcessSpec {
  const { files, programs } = context
  return {
    name,
    kind,
    command: programs.proxy.command,
    args: [
      ...programs.proxy.args,
      ...['-c', bootstrapFile(files, name), '--concurrency', String(context.concurrency), '-l', 'info'],
      ...['--drain-time-s', '1', '--parent-shutdown-time-s', '2'],
    ],
    env: environment(leanMemory(process.env)),
    cwd: files.state,
    logFile: join(files.logs, `${name}.log`),
    readiness: { type: 'http', host: address, port: ports.proxyAdmin, path: '/ready' },
    stopMs,
  }
}

export function applicationProcess(context: ProcessContext, instance: Instance): ProcessSpec {
  const { readiness, applicationAddress: host } = instance
  return {
    name: instance.name,
    kind: 'application',
    command: instance.command,
    args: instance.args,
    env: environment(instance.env),
    cwd: instance.folder,
    logFile: join(context.files.logs, `${instance.name}.log`),
    readiness:
      readiness.path === undefined
        ? { type: 'tcp', host, port: readiness.port }
        : { type: 'http', host, port: readiness.port, path: readiness.path },
    stopMs,
  }
}

type CommonBootstrap = Pick<BootstrapOptions, 'pilot' | 'citadel' | 'meshId' | 'rootCertFile' | 'joinToken'>

/** The bootstrap of a workload's sidecar. */
export function sidecarBootstrap(
  instance: Instance,
  services: Record<string, number>,
  common: CommonBootstrap,
): Record<string, unknown> {
  const prefix = instance.sidecarAddress.slice(0, instance.sidecarAddress.lastIndexOf('.'))
  return proxyBootstrap({
    ...common,
    admin: instance.sidecarAddress,
    proxy: {
      ...instance,
      type: 'sidecar',
      address: instance.sidecarAddress,
      name: instance.name.split('.')[0] ?? instance.name,
    },
    interception: { mode: 'NONE', loopback: { prefix, app: instance.applicationAddress, services } },
  })
}

/** The bootstrap of the ingress gateway; `gatewayPorts` says where each port of a Gateway is bound on 127.0.0.1. */
export function gatewayBootstrap(
  gateway: GatewayPlan,
  gatewayPorts: Record<string, number>,
  common: CommonBootstrap,
): Record<string, unknown> {
  return proxyBootstrap({
    ...common,
    admin: gateway.address,
    proxy: { ...gateway, type: 'router', workload: gateway.name },
    interception: { mode: 'NONE', loopback: { bind: '127.0.0.1', ports: gatewayPorts } },
  })
}

function service(
  context: ProcessContext,
  name: string,
  kind: 'citadel' | 'pilot' | 'mixer',
  program: Program,
  host: string,
  args: readonly string[],
): ProcessSpec {
  return {
    name,
    kind,
    command: program.command,
    args: [...program.args, ...args],
    env: environment({}),
    cwd: context.files.state,
    logFile: join(context.files.logs, `${name}.log`),
    readiness: { type: 'http', host, port: ports.admin, path: '/healthz/ready' },
    stopMs,
  }
}

/**
 * The environment of a process: ours without what npm and the supervisor's own flags put there, `node` being the Node
 * that runs us, and compiled code kept between starts.
 */
function environment(more: Readonly<Record<string, string>>): Record<string, string | undefined> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(npm_|WEFT_|VITEST)/.test(name))
  return {
    ...Object.fromEntries(inherited),
    PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
    NODE_COMPILE_CACHE: compileCacheFolder,
    ...more,
  }
}
