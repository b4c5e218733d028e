import { isIP } from 'node:net'
import { join } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { parseAddress } from '@weft/service/flags'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { mintJoinTokens, readOperatorToken } from '../clients/citadel.ts'
import { exitCodes } from '../exit-codes.ts'
import { identityOf, serviceOctets, systemNamespace } from '../mesh/addresses.ts'
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

const entrySchema = z.object({
  kind: z.literal('WorkloadEntry'),
  metadata: z.object({
    name: z.string(),
    namespace: z.string().default('default'),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  spec: z.object({
    address: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    serviceAccount: z.string().default('default'),
  }),
})

type Entry = z.infer<typeof entrySchema>

/**
 * `weft enroll`: for a mesh whose processes something else starts (containers, units): a bootstrap with a join token for
 * each WorkloadEntry that says which proxy it has; and, apart from these, join tokens for Pilot and Mixer and the
 * operator token for Pilot.
 */
export async function enroll(options: EnrollOptions, terminal: Terminal): Promise<number> {
  const entries = await proxiedEntries(options.config)
  const folders = await Promise.all(options.config.map(readMeshFolder))
  const services = serviceOctets({ path: options.config.join(', '), services: folders.flatMap((folder) => folder.services) })
  const system = ['pilot', 'mixer']
  const identities = [
    ...system.map((name) => identityOf(systemNamespace, name)),
    ...entries.map(({ metadata, spec }) => identityOf(metadata.namespace, spec.serviceAccount)),
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
  return exitCodes.ok
}

async function proxiedEntries(folders: readonly string[]): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const { name, content } of await readInputFiles(folders)) {
    for (const document of parseAllDocuments(content)) {
      const entry = entrySchema.safeParse(document.toJS({ maxAliasCount: 100 })).data
      const proxy = entry?.metadata.annotations[proxyAnnotation]
      if (entry === undefined || proxy === undefined) continue
      if (proxy !== 'sidecar' && proxy !== 'router') {
        throw new WeftError('invalid_argument', `${proxyAnnotation}: '${proxy}' is no kind of proxy`, {
          where: { file: name, path: `WorkloadEntry ${entry.metadata.name}` },
          hint: 'write sidecar or router',
        })
      }
      entries.push(entry)
    }
  }
  return entries
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
  const mode = annotations[interceptionAnnotation] ?? 'NONE'
  if (mode === 'REDIRECT' || mode === 'TPROXY') return { mode }
  if (mode !== 'NONE') {
    throw new WeftError('invalid_argument', `${interceptionAnnotation}: '${mode}' is no way to catch connections`, {
      where: { path: `WorkloadEntry ${metadata.name}` },
      hint: 'write REDIRECT, TPROXY or NONE',
    })
  }
  const prefix = annotations[outboundPrefixAnnotation] ?? '127.0.1'
  return { mode, loopback: { prefix, app: annotations[applicationAnnotation] ?? '127.0.0.1', services } }
}
