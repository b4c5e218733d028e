import { dirname, resolve, sep } from 'node:path'
import { WeftError, type Where } from '@weft/service/errors'
import {
  applicationHost,
  identityOf,
  mostInstances,
  resolveService,
  serviceOctets,
  sidecarHost,
  systemNamespace,
  workloadPrefix,
} from './addresses.ts'
import type { MeshFolder } from './folder.ts'
import { fillTemplate } from './template.ts'
import type { Workload } from './workload.ts'

/** One running copy of a Workload: its network 127.m.i.0/24, its identity, and how its program is started. */
export interface Instance {
  /** Unique in the mesh: the Workload's name, with `-2`, `-3` … for further replicas; other namespaces are appended. */
  name: string
  workload: string
  namespace: string
  serviceAccount: string
  identity: string
  labels: Record<string, string>
  index: number
  sidecarAddress: string
  applicationAddress: string
  ports: Record<string, number>
  readiness: { path?: string; port: number }
  command: string
  args: string[]
  env: Record<string, string>
  /** The folder of the file that holds the Workload: relative arguments are found from there. */
  folder: string
}

/** Everything that a mesh folder asks to run, with addresses. */
export interface MeshPlan {
  octet: number
  instances: Instance[]
  /** Last octet of each service's address in every workload's network, by host. */
  services: Record<string, number>
  gateway: GatewayPlan
}

export interface GatewayPlan {
  index: number
  name: string
  namespace: string
  serviceAccount: string
  identity: string
  labels: Record<string, string>
  address: string
}

/** Lays out a mesh: the gateway is workload 1, the folder's workloads follow in the order of their files. */
export function planMesh(folder: MeshFolder, octet: number): MeshPlan {
  const services = serviceOctets(folder)
  const instances: Instance[] = []
  let index = 2
  for (const { workload, where, folder: home } of folder.workloads) {
    if (workload.spec.address !== undefined) continue
    for (let replica = 1; replica <= workload.spec.replicas; replica++) {
      if (index > mostInstances) {
        throw new WeftError('resource_exhausted', `more than ${mostInstances - 1} workloads`, { where, hint: 'lower replicas' })
      }
      instances.push(planInstance(workload, where, home, replica, octet, index++, services))
    }
  }
  return { octet, instances, services, gateway: planGateway(octet) }
}

function planGateway(octet: number): GatewayPlan {
  const serviceAccount = 'istio-ingressgateway-service-account'
  return {
    index: 1,
    name: 'istio-ingressgateway',
    namespace: systemNamespace,
    serviceAccount,
    identity: identityOf(systemNamespace, serviceAccount),
    labels: { app: 'istio-ingressgateway', istio: 'ingressgateway' },
    address: sidecarHost(octet, 1),
  }
}

function planInstance(
  workload: Workload,
  where: Where,
  folder: string,
  replica: number,
  octet: number,
  index: number,
  services: Record<string, number>,
): Instance {
  const { metadata, spec } = workload
  const first = spec.ports[0]
  if (first === undefined) {
    throw new WeftError('invalid_argument', `Workload ${metadata.name} has no port`, {
      where: { ...where, path: 'spec.ports' },
      hint: 'name at least the port it listens on: [{name: http, number: 9080}]',
    })
  }
  const name = `${metadata.name}${replica > 1 ? `-${replica}` : ''}${metadata.namespace === 'default' ? '' : `.${metadata.namespace}`}`
  const applicationAddress = applicationHost(octet, index)
  const prefix = workloadPrefix(octet, index)
  const ports = Object.fromEntries(spec.ports.map((port) => [port.name, port.number]))
  const values = {
    'workload.name': name,
    'workload.namespace': metadata.namespace,
    'workload.address': applicationAddress,
    'workload.port': (port: string): string | undefined => (Object.hasOwn(ports, port) ? String(ports[port]) : undefined),
    'service.address': (service: string): string | undefined => {
      const last = resolveService(service, metadata.namespace, services)
      return last === undefined ? undefined : `${prefix}.${last}`
    },
  }
  const fill = (text: string, path: string): string => fillTemplate(text, values, { ...where, path })
  return {
    name,
    workload: metadata.name,
    namespace: metadata.namespace,
    serviceAccount: spec.serviceAccount,
    identity: identityOf(metadata.namespace, spec.serviceAccount),
    labels: { ...metadata.labels, ...spec.labels },
    index,
    sidecarAddress: sidecarHost(octet, index),
    applicationAddress,
    ports,
    readiness: { port: spec.readiness?.port ?? first.number, ...(spec.readiness && { path: spec.readiness.path }) },
    command: commandPath(fill(spec.command, 'spec.command'), folder),
    args: spec.args.map((argument, position) => fill(argument, `spec.args[${position}]`)),
    env: Object.fromEntries(Object.entries(spec.env).map(([key, value]) => [key, fill(value, `spec.env.${key}`)])),
    folder,
  }
}

/** A command with a slash is a file beside the Workload; a bare name is found in PATH. */
function commandPath(command: string, folder: string): string {
  return dirname(command) === '.' && !command.startsWith(`.${sep}`) ? command : resolve(folder, command)
}
