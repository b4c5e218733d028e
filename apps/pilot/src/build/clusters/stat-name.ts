import type { Service, ServicePort } from '../../model/service.ts'

export interface NamedCluster {
  readonly service: Service
  readonly port: ServicePort
  readonly subset: string
}

/** A cluster's name in statistics, by one of MeshConfig's patterns; empty where it is the cluster's own. */
export function statName(pattern: string, { service, port, subset }: NamedCluster): string {
  const values: Readonly<Record<string, string>> = {
    SERVICE: `${service.name}.${service.namespace}`,
    SERVICE_NAME: service.name,
    SERVICE_FQDN: service.host,
    SERVICE_PORT: `${port.number}`,
    SERVICE_PORT_NAME: port.name,
    SUBSET_NAME: subset,
  }
  return pattern.replaceAll(/%([A-Z_]+)%/g, (whole, name: string) => values[name] ?? whole)
}
