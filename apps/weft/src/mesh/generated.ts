import { stringify } from 'yaml'
import { mixerHost, ports, systemNamespace, trustDomain } from './addresses.ts'
import type { MeshPlan } from './plan.ts'

/** The label by which Pilot knows that an endpoint takes mutual TLS. */
const takesMutualTls = { 'security.istio.io/tlsMode': 'istio' }

/** The YAML that tells Pilot what runs in the local mesh: a WorkloadEntry for each process, and Mixer as a service. */
export function generatedConfig(plan: MeshPlan, mixerReplicas: number): string {
  const gateway = plan.gateway
  const entries = [
    workloadEntry(gateway.name, gateway.namespace, gateway.address, {}, gateway.labels, gateway.serviceAccount),
    ...plan.instances.map((instance) =>
      workloadEntry(
        instance.name.split('.')[0] ?? instance.name,
        instance.namespace,
        instance.sidecarAddress,
        instance.ports,
        instance.labels,
        instance.serviceAccount,
      ),
    ),
    ...mixerService(plan.octet, mixerReplicas),
  ]
  return entries.map((entry) => stringify(entry)).join('---\n')
}

/** Mesh-wide settings of the local mesh, as Pilot's `--mesh-config`. */
export function meshConfig(): string {
  const mixer = `mixer.${systemNamespace}.svc.cluster.local:${ports.mixer}`
  return stringify({
    trustDomain,
    rootNamespace: systemNamespace,
    enableAutoMtls: true,
    accessLogFile: '/dev/stdout',
    connectTimeout: '2s',
    mixerCheckServer: mixer,
    mixerReportServer: mixer,
  })
}

function mixerService(octet: number, replicas: number): Record<string, unknown>[] {
  const labels = { app: 'mixer' }
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'mixer', namespace: systemNamespace, labels },
      spec: { selector: labels, ports: [{ name: 'grpc-mixer', port: ports.mixer }] },
    },
    ...Array.from({ length: replicas }, (_, replica) =>
      workloadEntry(
        `mixer-${replica}`,
        systemNamespace,
        mixerHost(octet, replica),
        { 'grpc-mixer': ports.mixer },
        labels,
        'mixer',
      ),
    ),
  ]
}

function workloadEntry(
  name: string,
  namespace: string,
  address: string,
  workloadPorts: Record<string, number>,
  labels: Record<string, string>,
  serviceAccount: string,
): Record<string, unknown> {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name, namespace, labels: { ...labels, ...takesMutualTls } },
    spec: {
      address,
      ...(Object.keys(workloadPorts).length > 0 && { ports: workloadPorts }),
      labels: { ...labels, ...takesMutualTls },
      serviceAccount,
    },
  }
}
