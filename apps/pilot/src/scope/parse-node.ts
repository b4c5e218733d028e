import { isRecord } from '@weft/config/document'
import type { Node } from '@weft/contracts/envoy/config/core/v3/base'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import { settingsOf } from '../model/mesh-settings.ts'
import { parseLocality } from '../registries/file/workloads.ts'
import type { Loopback, ProxyNode } from './proxy-node.ts'

const text = z.string().optional().catch(undefined)
const octet = z.coerce.number().int().min(1).max(254)
const loopbackSchema = z.union([
  z.object({
    prefix: z.string().regex(/^127\.\d{1,3}\.\d{1,3}$/),
    app: z.string(),
    services: z.record(z.string(), octet).default({}),
  }),
  z.object({
    bind: z.string().default('127.0.0.1'),
    ports: z.record(z.string(), z.coerce.number().int().min(0).max(65_535)).default({}),
  }),
])

const metadataSchema = z.looseObject({
  NAMESPACE: text,
  LABELS: z.record(z.string(), z.string()).optional().catch(undefined),
  SERVICE_ACCOUNT: text,
  WORKLOAD_NAME: text,
  CLUSTER_ID: text,
  MESH_ID: text,
  INTERCEPTION_MODE: z.enum(['REDIRECT', 'TPROXY', 'NONE']).optional().catch(undefined),
  INSTANCE_IPS: text,
  GENERATOR: text,
  NETWORK: text,
  NODE_NAME: text,
  AUTO_REGISTER_GROUP: text,
  WEFT_PROXY: z
    .union([z.boolean(), z.literal('true').transform(() => true)])
    .optional()
    .catch(undefined),
  LOOPBACK: z.unknown().optional(),
  PROXY_CONFIG: z.record(z.string(), z.unknown()).optional().catch(undefined),
})

/**
 * A proxy from its node: the id is `type~ip~name.namespace~domain` (Istio's), all else is metadata. Throws
 * `invalid_argument` for an id that says none of that, or a LOOPBACK or PROXY_CONFIG that cannot be read.
 */
export function parseNode(node: Pick<Node, 'id' | 'metadata' | 'locality'>): ProxyNode {
  const [type, ip = '', name = '', dnsDomain = '', ...rest] = node.id.split('~')
  if ((type !== 'sidecar' && type !== 'router') || name === '' || dnsDomain === '' || rest.length > 0) {
    throw new WeftError('invalid_argument', `node id '${node.id.slice(0, 200)}' is not type~ip~name.namespace~domain`, {
      hint: 'type is sidecar or router, such as sidecar~10.0.0.1~reviews-v1.default~default.svc.cluster.local',
    })
  }
  const metadata = metadataSchema.parse(isRecord(node.metadata) ? node.metadata : {})
  const ips = [...new Set([ip, ...(metadata.INSTANCE_IPS ?? '').split(',')])].filter((address) => address !== '')
  const namespace = metadata.NAMESPACE || dnsDomain.split('.', 1)[0]!
  settingsOf(metadata.PROXY_CONFIG ?? {})
  const locality = node.locality
  return {
    id: node.id,
    type,
    ip,
    ips,
    name,
    namespace,
    dnsDomain,
    labels: metadata.LABELS ?? {},
    serviceAccount: metadata.SERVICE_ACCOUNT ?? '',
    workloadName: metadata.WORKLOAD_NAME ?? '',
    clusterId: metadata.CLUSTER_ID ?? '',
    meshId: metadata.MESH_ID ?? '',
    locality:
      locality === undefined ? parseLocality('') : { region: locality.region, zone: locality.zone, subZone: locality.subZone },
    network: metadata.NETWORK ?? '',
    nodeName: metadata.NODE_NAME ?? '',
    autoRegisterGroup: metadata.AUTO_REGISTER_GROUP ?? '',
    interceptionMode: metadata.INTERCEPTION_MODE ?? 'REDIRECT',
    loopback: parseLoopback(metadata.LOOPBACK, node.id),
    isWeft: metadata.WEFT_PROXY === true,
    generator: metadata.GENERATOR ?? '',
    metadata,
    proxyConfig: metadata.PROXY_CONFIG ?? {},
    credentialAccount: undefined,
  }
}

function parseLoopback(value: unknown, id: string): Loopback | undefined {
  if (value === undefined || value === null) return undefined
  const parsed = loopbackSchema.safeParse(value)
  if (!parsed.success) {
    throw new WeftError('invalid_argument', `metadata LOOPBACK of ${id} cannot be read: ${z.prettifyError(parsed.error)}`)
  }
  return 'prefix' in parsed.data ? { type: 'sidecar', ...parsed.data } : { type: 'router', ...parsed.data }
}
