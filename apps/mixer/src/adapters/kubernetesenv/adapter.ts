import { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import { adapter } from '../../adapter.ts'
import { int64, positiveDurationMs, protoMessage } from '../fields.ts'

/**
 * Istio's generator of workload attributes from Kubernetes' pods. Its configuration is read and checked; a handler opens
 * only where a Kubernetes API is configured, as in the original, and this Mixer can be given none: sidecars tell the
 * same attributes themselves.
 */
export default adapter({
  name: 'kubernetesenv',
  config: protoMessage({
    kubeconfigPath: z.string().default(''),
    cacheRefreshDuration: positiveDurationMs().default(300_000),
    podUidPort: int64().optional(),
    clusterRegistriesNamespace: z.string().default(''),
  }),
  open(handler): undefined {
    throw new WeftError('failed_precondition', `${handler.name} needs a Kubernetes API, and none is configured`, {
      hint: 'sidecars tell the attributes of workloads themselves; remove the handler, its instances and rules',
    })
  },
  templates: { kubernetes: () => () => undefined },
})
