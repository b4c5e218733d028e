import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { parseAddress } from '@weft/service/flags'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { mintJoinTokens, readOperatorToken } from '../clients/citadel.ts'
import { exitCodes } from '../exit-codes.ts'
import { identityOf, serviceOctets, systemNamespace, trustDomain } from '../mesh/addresses.ts'
import { type BootstrapOptions, proxyBootstrap } from '../mesh/bootstrap.ts'
import { readMeshFolder } from '../mesh/folder.ts'
import { writeSecretFile } from '../mesh/tokens.ts'
import type { Terminal } from '../terminal.ts'
import { readInputFiles } from './input-files.ts'

export interface EnrollOptions {
  config: string[]
  out: string
  controlOut: string
  citadel: string
  operatorTokenFile: string
  citadelGrpc: string
  pilotGrpc: string
  rootCertFile: string
  ttl: number
}

/** How a WorkloadEntry says which proxy stands beside it, and where its program listens. */
const proxyAnnotation = 'mesh.weft.dev/proxy'
const applicationAnnotation = 'mesh.weft.dev/application-address'
const outboundPrefixAnnotation = 'mesh.weft.dev/outbound-prefix'
/** Says that packet filter rules (`weft iptables`) lead connections to the sidecar: REDIRECT or TPROXY. */
const interceptionAnnotation = 'mesh.weft.dev/interception'
/** Other addresses of the workload's machine than the one in `spec.address`. */
const moreAddressesAnnotation = 'mesh.weft.dev/more-addresses'

const labels = z.record(z.string(), z.string()).default({})
const metadata = z.object({
  name: z.string(),
  namespace: z.string().default('default'),
  annotations: z.record(z.string(), z.string()).default({}),
})
const workload = z.object({ labels, serviceAccount: z.string().default('default') })
const entrySchema = z.object({
  kind: z.literal('WorkloadEntry'),
  metadata,
  spec: workload.extend({ address: z.string() }),
})
const groupSchema = z.object({
  kind: z.literal('WorkloadGroup'),
  metadata,
  spec: z.object({
    metadata: z.object({ labels }).default({ labels: {} }),
    template: workload,
  }),
})

type Entry = z.infer<typeof entrySchema>
type Group = z.infer<typeof groupSchema>

/**
 * `weft enroll`: for a mesh whose processes something else starts (containers, units): a bootstrap with a join token for
 * each WorkloadEntry that says which proxy it has, and the environment and join token of `pilot-agent proxy sidecar` for each
 * WorkloadGroup that does; and, apart from these, join tokens for Pilot and Mixer and the operator token for Pilot.
 */
export async function enroll(options: EnrollOptions, terminal: Terminal): Promise<number> {
  const { entries, groups } = await readProxied(options.config)
  const folders = await Promise.all(options.config.map(readMeshFolder))
  const services = serviceOctets({ path: options.config.join(', '), services: folders.flatMap((folder) => folder.services) })
  const system = ['pilot', 'mixer']
  const identities = [
    ...system.map((name) => identityOf(systemNamespace, name)),
    ...entries.map(({ metadata, spec }) => identityOf(metadata.namespace, spec.serviceAccount)),
    ...groups.map(({ metadata, spec }) => identityOf(metadata.namespace, spec.template.serviceAccount)),
  ]
  const requests = identities.map((identity) => ({ identity, ttlSeconds: options.ttl }))
  const tokens = await mintJoinTokens(options.citadel, options.operatorTokenFile, requests)
  system.forEach((name, index) => {
    writeSecretFile(join(options.controlOut, `${name}.token`), tokens[index] ?? '')
    terminal.print(join(options.controlOut, `${name}.token`))
  })
  writeSecretFile(join(options.controlOut, 'operator.token'), await readOperatorToken(options.operatorTokenFile))
  entries.forEach((entry, index) => {
    const file = `${entry.metadata.name}.json`
    const bootstrap = bootstrapOf(entry, services, tokens[system.length + index] ?? '', options)
    writeSecretFile(join(options.out, file), `${JSON.stringify(bootstrap, null, 2)}\n`)
    terminal.print(join(options.out, file))
  })
  groups.forEach((group, index) => {
    const file = join(options.out, `${group.metadata.name}.env`)
    const tokenFile = join(options.out, `${group.metadata.name}.token`)
    writeSecretFile(tokenFile, tokens[system.length + entries.length + index] ?? '')
    writeSecretFile(file, environmentOf(group, resolve(tokenFile), options))
    terminal.print(file)
  })
  return exitCodes.ok
}

/** The WorkloadEntries and WorkloadGroups that say which proxy they have. */
async function readProxied(folders: readonly string[]): Promise<{ entries: Entry[]; groups: Group[] }> {
  const entries: Entry[] = []
  const groups: Group[] = []
  for (const { name, content } of await readInputFiles(folders)) {
    for (const document of parseAllDocuments(content)) {
      const object = z.union([entrySchema, groupSchema]).safeParse(document.toJS({ maxAliasCount: 100 })).data
      const proxy = object?.metadata.annotations[proxyAnnotation]
      if (object === undefined || proxy === undefined) continue
      if (proxy !== 'sidecar' && (proxy !== 'router' || object.kind === 'WorkloadGroup')) {
        throw new WeftError('invalid_argument', `${proxyAnnotation}: '${proxy}' is no kind of proxy`, {
          where: { file: name, path: `${object.kind} ${object.metadata.name}` },
          hint: object.kind === 'WorkloadGroup' ? 'write sidecar' : 'write sidecar or router',
        })
      }
      if (object.kind === 'WorkloadEntry') entries.push(object)
      else groups.push(object)
    }
  }
  return { entries, groups }
}

/** What `pilot-agent proxy sidecar` needs in its environment to be one of a group, as a shell reads it. */
function environmentOf({ metadata, spec }: Group, tokenFile: string, options: EnrollOptions): string {
  const variables = {
    POD_NAMESPACE: metadata.namespace,
    SERVICE_ACCOUNT: spec.template.serviceAccount,
    TRUST_DOMAIN: trustDomain,
    CA_ADDR: options.citadelGrpc,
    CA_ROOT_CA: options.rootCertFile,
    TOKEN_FILE: tokenFile,
    PROXY_CONFIG: JSON.stringify({ discoveryAddress: options.pilotGrpc, configPath: '/tmp/proxy', concurrency: 1 }),
    ISTIO_META_WORKLOAD_NAME: metadata.name,
    ISTIO_META_AUTO_REGISTER_GROUP: metadata.name,
    ISTIO_META_CLUSTER_ID: 'local',
    ISTIO_META_MESH_ID: 'compose',
    ISTIO_META_INTERCEPTION_MODE: interceptionMode(metadata, 'REDIRECT'),
    ISTIO_METAJSON_LABELS: JSON.stringify({ LABELS: { ...spec.metadata.labels, ...spec.template.labels } }),
  }
  const quoted = (value: string): string => `'${value.replaceAll("'", "'\\''")}'`
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${quoted(value)}\n`)
    .join('')
}

function bootstrapOf(entry: Entry, services: Record<string, number>, joinToken: string, options: EnrollOptions) {
  const { metadata, spec } = entry
  const { annotations } = metadata
  const moreAddresses = (annotations[moreAddressesAnnotation] ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter(isIP)
  const router = annotations[proxyAnnotation] === 'router'
  return proxyBootstrap({
    pilot: parseAddress(options.pilotGrpc),
    citadel: parseAddress(options.citadelGrpc),
    admin: '127.0.0.1',
    proxy: {
      type: router ? 'router' : 'sidecar',
      address: spec.address,
      moreAddresses,
      name: metadata.name,
      workload: metadata.name,
      namespace: metadata.namespace,
      serviceAccount: spec.serviceAccount,
      labels: spec.labels,
    },
    interception: router ? { mode: 'NONE', loopback: { bind: '0.0.0.0', ports: {} } } : interceptionOf(entry, services),
    meshId: 'compose',
    rootCertFile: options.rootCertFile,
    joinToken,
  })
}

/** How connections come to a sidecar. */
function interceptionOf({ metadata }: Entry, services: Record<string, number>): BootstrapOptions['interception'] {
  const { annotations } = metadata
  const mode = interceptionMode(metadata, 'NONE')
  if (mode !== 'NONE') return { mode }
  const prefix = annotations[outboundPrefixAnnotation] ?? '127.0.1'
  return { mode, loopback: { prefix, app: annotations[applicationAnnotation] ?? '127.0.0.1', services } }
}

function interceptionMode(
  { name, annotations }: Entry['metadata'],
  otherwise: 'NONE' | 'REDIRECT',
): 'NONE' | 'REDIRECT' | 'TPROXY' {
  const mode = annotations[interceptionAnnotation] ?? otherwise
  if (mode === 'NONE' || mode === 'REDIRECT' || mode === 'TPROXY') return mode
  throw new WeftError('invalid_argument', `${interceptionAnnotation}: '${mode}' is no way to catch connections`, {
    where: { path: name },
    hint: 'write REDIRECT, TPROXY or NONE',
  })
}
