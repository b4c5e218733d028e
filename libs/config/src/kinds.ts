import { DestinationRule } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import { EnvoyFilter } from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import { Gateway } from '@weft/contracts/istio/networking/v1alpha3/gateway'
import { ServiceEntry } from '@weft/contracts/istio/networking/v1alpha3/service_entry'
import { Sidecar } from '@weft/contracts/istio/networking/v1alpha3/sidecar'
import { VirtualService } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { WorkloadEntry, WorkloadGroup } from '@weft/contracts/istio/networking/v1alpha3/workload_entry'
import { AuthorizationPolicy } from '@weft/contracts/istio/security/v1beta1/authorization_policy'
import { PeerAuthentication } from '@weft/contracts/istio/security/v1beta1/peer_authentication'
import { RequestAuthentication } from '@weft/contracts/istio/security/v1beta1/request_authentication'
import { Telemetry } from '@weft/contracts/istio/telemetry/v1alpha1/telemetry'
import type { z } from 'zod'
import { kubernetesIngressClassSchema, kubernetesIngressSchema } from './kubernetes-ingress.ts'
import { kubernetesServiceSchema } from './kubernetes-service.ts'
import { issuePath } from './metadata.ts'
import type { Kind, SpecByKind } from './objects.ts'
import { type FieldProblem, readStrictly } from './strict.ts'
import { workloadSchema } from './workload.ts'

/** Reads a document's `spec`: the exact type, or all that is wrong with it. */
type ReadSpec<Spec> = (value: unknown) => { spec: Spec } | { problems: FieldProblem[] }

export type KindReaders = { readonly [K in Kind]: ReadSpec<SpecByKind[K]> }

const networking = 'istio.networking.v1alpha3'
const security = 'istio.security.v1beta1'

/** How each kind's spec is read. */
export const kindReaders: KindReaders = {
  VirtualService: byDescriptor(`${networking}.VirtualService`, VirtualService),
  DestinationRule: byDescriptor(`${networking}.DestinationRule`, DestinationRule),
  Gateway: byDescriptor(`${networking}.Gateway`, Gateway),
  ServiceEntry: byDescriptor(`${networking}.ServiceEntry`, ServiceEntry),
  WorkloadEntry: byDescriptor(`${networking}.WorkloadEntry`, WorkloadEntry),
  WorkloadGroup: byDescriptor(`${networking}.WorkloadGroup`, WorkloadGroup),
  Sidecar: byDescriptor(`${networking}.Sidecar`, Sidecar),
  EnvoyFilter: byDescriptor(`${networking}.EnvoyFilter`, EnvoyFilter),
  PeerAuthentication: byDescriptor(`${security}.PeerAuthentication`, PeerAuthentication),
  RequestAuthentication: byDescriptor(`${security}.RequestAuthentication`, RequestAuthentication),
  AuthorizationPolicy: byDescriptor(`${security}.AuthorizationPolicy`, AuthorizationPolicy),
  Telemetry: byDescriptor('istio.telemetry.v1alpha1.Telemetry', Telemetry),
  Service: bySchema(kubernetesServiceSchema),
  Ingress: bySchema(kubernetesIngressSchema),
  IngressClass: bySchema(kubernetesIngressClassSchema),
  Workload: bySchema(workloadSchema),
}

function byDescriptor<Spec>(typeName: string, codec: { decode(bytes: Uint8Array): Spec }): ReadSpec<Spec> {
  return (value) => {
    const read = readStrictly(typeName, value, 'spec')
    return read.bytes === undefined ? { problems: read.problems } : { spec: codec.decode(read.bytes) }
  }
}

function bySchema<Schema extends z.ZodType>(schema: Schema): ReadSpec<z.infer<Schema>> {
  return (value) => {
    const read = schema.safeParse(value ?? {})
    if (read.success) return { spec: read.data }
    return {
      problems: read.error.issues.map((issue) => {
        const unknown = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
        return { path: issuePath('spec', unknown === undefined ? issue.path : [...issue.path, unknown]), message: issue.message }
      }),
    }
  }
}
