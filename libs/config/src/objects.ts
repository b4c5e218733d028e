import type { DestinationRule } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { EnvoyFilter } from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import type { Gateway } from '@weft/contracts/istio/networking/v1alpha3/gateway'
import type { ServiceEntry } from '@weft/contracts/istio/networking/v1alpha3/service_entry'
import type { Sidecar } from '@weft/contracts/istio/networking/v1alpha3/sidecar'
import type { VirtualService } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import type { WorkloadEntry, WorkloadGroup } from '@weft/contracts/istio/networking/v1alpha3/workload_entry'
import type { AuthorizationPolicy } from '@weft/contracts/istio/security/v1beta1/authorization_policy'
import type { PeerAuthentication } from '@weft/contracts/istio/security/v1beta1/peer_authentication'
import type { RequestAuthentication } from '@weft/contracts/istio/security/v1beta1/request_authentication'
import type { Telemetry } from '@weft/contracts/istio/telemetry/v1alpha1/telemetry'
import type { Document } from './document.ts'
import type { KubernetesIngress, KubernetesIngressClass } from './kubernetes-ingress.ts'
import type { KubernetesService } from './kubernetes-service.ts'
import type { Metadata } from './metadata.ts'
import type { WorkloadSpec } from './workload.ts'

export type { Metadata }

/** The kinds that are read into exact types, with the type of their `spec`. */
export interface SpecByKind {
  VirtualService: VirtualService
  DestinationRule: DestinationRule
  Gateway: Gateway
  ServiceEntry: ServiceEntry
  WorkloadEntry: WorkloadEntry
  WorkloadGroup: WorkloadGroup
  Sidecar: Sidecar
  EnvoyFilter: EnvoyFilter
  PeerAuthentication: PeerAuthentication
  RequestAuthentication: RequestAuthentication
  AuthorizationPolicy: AuthorizationPolicy
  Telemetry: Telemetry
  /** Kubernetes `v1 Service`. */
  Service: KubernetesService
  /** Kubernetes `networking.k8s.io/v1 Ingress`, and the classes of them. */
  Ingress: KubernetesIngress
  IngressClass: KubernetesIngressClass
  /** `mesh.weft.dev/v1 Workload`: a process of a local mesh. */
  Workload: WorkloadSpec
}

export type Kind = keyof SpecByKind

/** One object of a kind, read and found valid. */
export interface TypedObject<K extends Kind> {
  readonly kind: K
  /** As written: `networking.istio.io/v1alpha3`, … */
  readonly apiVersion: string
  readonly metadata: Metadata
  readonly spec: SpecByKind[K]
  /** Where it was written: its file, its line, and the line of any path in it. */
  readonly document: Document
  /** Changes exactly when the content does. */
  readonly version: string
}

/** An object of any kind: `switch (object.kind)` narrows its spec. */
export type ConfigObject = { [K in Kind]: TypedObject<K> }[Kind]

/** An object that is handed on unread: the kinds of config.istio.io, rbac.istio.io and authentication.istio.io. */
export interface RawObject {
  readonly kind: string
  readonly apiVersion: string
  readonly metadata: Metadata
  /** `document.value` is the whole object. */
  readonly document: Document
  readonly version: string
}

/** `kind/namespace/name`: one object's key in every index. */
export function objectKey(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`
}

/** The key of an object. */
export function keyOf(object: { kind: string; metadata: Metadata }): string {
  return objectKey(object.kind, object.metadata.namespace, object.metadata.name)
}
