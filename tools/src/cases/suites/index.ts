import type { Suite } from '../suite.ts'
import { citadel } from './citadel/index.ts'
import { istioCrds } from './istio-crds.ts'
import { istioValidation } from './istio-validation.ts'
import { mixerAttributes } from './mixer-attributes/index.ts'
import { mixerDictionary } from './mixer-dictionary.ts'
import { mixerExpressions } from './mixer-expressions.ts'
import { mixerList } from './mixer-list.ts'
import { mixerQuota } from './mixer-quota.ts'
import { mixerSidecarAttributes } from './mixer-sidecar/index.ts'
import { istioAuthz } from './pilot/authorization.ts'
import { pilotSidecarRoutes } from './pilot/sidecar-routes.ts'
import { pilotSimulation } from './pilot/simulation.ts'
import { envoyHttp1Codec } from './proxy/http1-codec.ts'
import { envoyPath, istioPathNormalization } from './proxy/paths.ts'
import { envoyRouteConfigurations } from './proxy/route-configurations.ts'
import { envoyRouterCheck } from './proxy/router-check.ts'

/** All suites by name, in the order in which they run. */
export const SUITES: Readonly<Record<string, Suite>> = {
  'mixer-expressions': mixerExpressions,
  'mixer-dictionary': mixerDictionary,
  'mixer-attributes': mixerAttributes,
  'mixer-list': mixerList,
  'mixer-quota': mixerQuota,
  'mixer-sidecar-attributes': mixerSidecarAttributes,
  'istio-validation': istioValidation,
  'istio-crds': istioCrds,
  citadel,
  'istio-authz': istioAuthz,
  'pilot-simulation': pilotSimulation,
  'pilot-sidecar-routes': pilotSidecarRoutes,
  'envoy-router-check': envoyRouterCheck,
  'envoy-config_impl_routes': envoyRouteConfigurations,
  'envoy-http1_codec': envoyHttp1Codec,
  'envoy-path': envoyPath,
  'envoy-istio-path-normalization': istioPathNormalization,
}
