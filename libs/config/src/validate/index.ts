import type { ConfigObject } from '../objects.ts'
import { checkAuthorizationPolicy } from './authorization-policy.ts'
import { checkDestinationRule } from './destination-rule.ts'
import { checkEnvoyFilter } from './envoy-filter.ts'
import { checkGateway } from './gateway.ts'
import { checkPeerAuthentication } from './peer-authentication.ts'
import { Report, type Sink } from './report.ts'
import { checkRequestAuthentication } from './request-authentication.ts'
import { checkServiceEntry } from './service-entry.ts'
import { checkSidecar } from './sidecar.ts'
import { checkTelemetry } from './telemetry.ts'
import { checkVirtualService } from './virtual-service.ts'
import { checkWorkloadEntry, checkWorkloadGroup } from './workload-entry.ts'

/** The rules of an object's kind that types cannot say, as Istio's webhook has them. */
export function validate(object: ConfigObject, sink: Sink): void {
  const report = new Report(sink, 'spec')
  const { namespace, annotations } = object.metadata
  const raw = object.document.value['spec']
  switch (object.kind) {
    case 'VirtualService':
      checkVirtualService(object.spec, namespace, report)
      return
    case 'DestinationRule':
      checkDestinationRule(object.spec, namespace, report)
      return
    case 'Gateway':
      checkGateway(object.spec, report)
      return
    case 'ServiceEntry':
      checkServiceEntry(object.spec, namespace, report)
      return
    case 'WorkloadEntry':
      checkWorkloadEntry(object.spec, report)
      return
    case 'WorkloadGroup':
      checkWorkloadGroup(object.spec, report)
      return
    case 'Sidecar':
      checkSidecar(object.spec, report)
      return
    case 'EnvoyFilter':
      checkEnvoyFilter(object.spec, report)
      return
    case 'PeerAuthentication':
      checkPeerAuthentication(object.spec, raw, report)
      return
    case 'RequestAuthentication':
      checkRequestAuthentication(object.spec, annotations, report)
      return
    case 'AuthorizationPolicy':
      checkAuthorizationPolicy(object.spec, raw, annotations, report)
      return
    case 'Telemetry':
      checkTelemetry(object.spec, report)
      return
    case 'Service':
    case 'Ingress':
    case 'IngressClass':
    case 'Workload':
      // Their schemas say it all.
      return
  }
}
