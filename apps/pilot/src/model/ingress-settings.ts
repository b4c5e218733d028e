import { MeshConfig_IngressControllerMode as IngressMode, type MeshConfig } from '@weft/contracts/istio/mesh/v1alpha1/config'

/** Which Ingresses are ours, and which gateway serves them: MeshConfig's `ingress…`. */
export interface IngressSettings {
  /** `STRICT`: those whose class says so. `DEFAULT`: those without a class too. */
  readonly mode: 'OFF' | 'DEFAULT' | 'STRICT'
  /** Value of the annotation `kubernetes.io/ingress.class`. */
  readonly className: string
  /** The Service before the gateway: its addresses stand in the status of Ingresses. Empty: none. */
  readonly service: string
  /** Value of the gateway's label `istio`; empty: as `service` has it. */
  readonly selector: string
}

export const defaultIngressSettings: IngressSettings = {
  mode: 'STRICT',
  className: 'istio',
  service: 'istio-ingressgateway',
  selector: '',
}

const modes: Readonly<Record<number, IngressSettings['mode']>> = {
  [IngressMode.OFF]: 'OFF',
  [IngressMode.DEFAULT]: 'DEFAULT',
  [IngressMode.STRICT]: 'STRICT',
}

/** What MeshConfig says of Ingresses; what it leaves out is as `base` has it. */
export function ingressSettings(config: MeshConfig, base: IngressSettings): IngressSettings {
  return {
    mode: modes[config.ingressControllerMode] ?? base.mode,
    className: config.ingressClass || base.className,
    service: config.ingressService || base.service,
    selector: config.ingressSelector || base.selector,
  }
}
