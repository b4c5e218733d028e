import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WeftError, type Where } from '@weft/service/errors'
import { LineCounter, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { type Workload, workloadSchema } from './workload.ts'

/** A service that applications of the mesh may call. */
interface MeshService {
  host: string
  ports: number[]
}

/** What the supervisor has to know of a mesh folder; the rest of its YAML is Pilot's and Mixer's. */
export interface MeshFolder {
  path: string
  workloads: { workload: Workload; where: Where; folder: string }[]
  services: MeshService[]
  /** Ports that its Gateways open. */
  gatewayPorts: number[]
  /** The first of them that speaks plain HTTP, for the URLs shown at the end of the start. */
  httpPort: number | undefined
  /** Paths that its VirtualServices take from a gateway, for those URLs. */
  paths: string[]
}

const largestFileBytes = 4 << 20
const mostFiles = 2_000

const serviceSchema = z.object({
  metadata: z.object({ name: z.string(), namespace: z.string().default('default') }),
  spec: z.object({ ports: z.array(z.object({ port: z.number() })).default([]) }).default({ ports: [] }),
})
const serviceEntrySchema = z.object({
  spec: z.object({ hosts: z.array(z.string()), ports: z.array(z.object({ number: z.number() })).default([]) }),
})
const gatewaySchema = z.object({
  spec: z.object({ servers: z.array(z.object({ port: z.object({ number: z.number(), protocol: z.string().default('') }) })) }),
})
const plainHttp = new Set(['HTTP', 'HTTP2', 'GRPC'])
const ingressSchema = z.object({ spec: z.object({ tls: z.array(z.unknown()).nullish() }) })
const virtualServiceSchema = z.object({
  spec: z.object({
    gateways: z.array(z.string()).default([]),
    http: z
      .array(
        z.object({
          match: z
            .array(z.object({ uri: z.object({ exact: z.string().optional(), prefix: z.string().optional() }).default({}) }))
            .default([]),
        }),
      )
      .default([]),
  }),
})

/**
 * Reads a folder of YAML files, recursively, in the order of their names. Broken YAML or a broken `Workload` is one
 * error that names file and line; kinds that are not the supervisor's are left to those who know them.
 */
export async function readMeshFolder(path: string): Promise<MeshFolder> {
  const folder: MeshFolder = { path, workloads: [], services: [], gatewayPorts: [], httpPort: undefined, paths: [] }
  for (const file of await yamlFiles(path)) {
    for (const { value, line } of await documents(file)) take(folder, value, { file, line })
  }
  const seen = new Map<string, Where>()
  for (const { workload, where } of folder.workloads) {
    const key = `${workload.metadata.namespace}/${workload.metadata.name}`
    const first = seen.get(key)
    if (first !== undefined) {
      throw new WeftError('invalid_argument', `Workload ${key} is defined twice`, {
        where,
        hint: `the first is at ${first.file}:${first.line}`,
      })
    }
    seen.set(key, where)
  }
  return folder
}

async function yamlFiles(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
    throw new WeftError('not_found', `cannot read the mesh folder ${path}`, {
      hint: 'give a folder that holds Workload objects and Istio YAML: weft up DIR',
      cause,
    })
  })
  const files = entries
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  if (files.length > mostFiles) {
    throw new WeftError('resource_exhausted', `${path} holds ${files.length} YAML files, more than ${mostFiles}`)
  }
  return files
}

async function documents(file: string): Promise<{ value: unknown; line: number }[]> {
  const text = await readFile(file, 'utf8')
  if (text.length > largestFileBytes) {
    throw new WeftError('resource_exhausted', `larger than ${largestFileBytes} bytes`, { where: { file } })
  }
  const lines = new LineCounter()
  return parseAllDocuments(text, { lineCounter: lines }).flatMap((document) => {
    const problem = document.errors[0]
    if (problem !== undefined) {
      const where = { file, line: lines.linePos(problem.pos[0]).line }
      throw new WeftError('invalid_argument', `not YAML: ${problem.message.split('\n')[0]}`, { where, hint: 'correct the file' })
    }
    const value: unknown = document.toJS({ maxAliasCount: 100 })
    if (value === null || value === undefined) return []
    return [{ value, line: lines.linePos(document.contents?.range?.[0] ?? document.range[0]).line }]
  })
}

const header = z.object({ apiVersion: z.string(), kind: z.string() })

function take(folder: MeshFolder, value: unknown, where: { file: string; line: number }): void {
  const { apiVersion, kind } = header.safeParse(value).data ?? { apiVersion: '', kind: '' }
  const is = (group: string, name: string): boolean => kind === name && (apiVersion.split('/')[0] ?? '') === group
  if (is('mesh.weft.dev', 'Workload')) {
    const parsed = workloadSchema.safeParse(value)
    if (!parsed.success) {
      const issue = parsed.error.issues[0]
      throw new WeftError('invalid_argument', issue?.message ?? 'not a Workload', {
        where: { ...where, path: `Workload: ${issue?.path.join('.') ?? ''}` },
        hint: 'docs/local-mesh.md lists the fields of a Workload',
      })
    }
    folder.workloads.push({ workload: parsed.data, where, folder: join(where.file, '..') })
  } else if (is('v1', 'Service')) {
    const service = serviceSchema.safeParse(value).data
    if (service === undefined) return
    const host = `${service.metadata.name}.${service.metadata.namespace}.svc.cluster.local`
    folder.services.push({ host, ports: service.spec.ports.map(({ port }) => port) })
  } else if (is('networking.istio.io', 'ServiceEntry')) {
    const entry = serviceEntrySchema.safeParse(value).data
    for (const host of entry?.spec.hosts ?? []) {
      folder.services.push({ host, ports: entry?.spec.ports.map(({ number }) => number) ?? [] })
    }
  } else if (is('networking.istio.io', 'Gateway')) {
    for (const { port } of gatewaySchema.safeParse(value).data?.spec.servers ?? []) {
      folder.gatewayPorts.push(port.number)
      if (plainHttp.has(port.protocol.toUpperCase())) folder.httpPort ??= port.number
    }
  } else if (is('networking.k8s.io', 'Ingress')) {
    const ingress = ingressSchema.safeParse(value).data
    if (ingress === undefined) return
    folder.gatewayPorts.push(80, ...(ingress.spec.tls?.length ? [443] : []))
    folder.httpPort ??= 80
  } else if (is('networking.istio.io', 'VirtualService')) {
    const spec = virtualServiceSchema.safeParse(value).data?.spec
    if (spec === undefined || !spec.gateways.some((gateway) => gateway !== 'mesh')) return
    const uris = spec.http.flatMap((route) => route.match.map((match) => match.uri.exact ?? match.uri.prefix))
    folder.paths.push(...uris.filter((uri) => uri !== undefined))
  }
}
