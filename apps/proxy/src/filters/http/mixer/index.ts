import { HttpClientConfig, ServiceConfig } from '@weft/contracts/istio/mixer/v1/config/client/client_config'
import { WeftError } from '@weft/service/errors'
import type { CompiledHttpFilter, FilterContext, HttpFilterKind, HttpStream } from '../filter.ts'
import { compileConfig, type ListenerPlan, type ServiceParts, type ServicePlan, serviceParts } from './config.ts'
import { mixerCounters } from './counters.ts'
import { ForwardedAttributes } from './forwarded-attributes.ts'
import { openMixer } from './open-mixer.ts'
import { type MixerParts, MixerRequest } from './request.ts'

/**
 * `mixer`: asks Mixer whether a request may pass (Check, with quotas) and tells it what became of it (Report), as the
 * sidecar of Istio 1.0 did. Where configuration says that no rule can match, no call is made.
 */
export const mixer: HttpFilterKind = {
  types: ['istio.mixer.v1.config.client.HttpClientConfig'],
  routeTypes: ['istio.mixer.v1.config.client.ServiceConfig'],
  compile,
  compileRouteConfig(bytes, _typeUrl, context): RoutePart {
    return new RoutePart(read(context, () => serviceParts(ServiceConfig.decode(bytes), '', context.fail)))
  },
}

/** A route's own service, laid over the listener's configuration once for each listener that meets it. */
class RoutePart {
  readonly #parts: ServiceParts
  readonly #plans = new WeakMap<ListenerPlan, ServicePlan>()

  constructor(parts: ServiceParts) {
    this.#parts = parts
  }

  planFor(listener: ListenerPlan): ServicePlan {
    const known = this.#plans.get(listener)
    if (known !== undefined) return known
    const plan = listener.forService(this.#parts)
    this.#plans.set(listener, plan)
    return plan
  }
}

function compile(bytes: Uint8Array, context: FilterContext): CompiledHttpFilter {
  const plan = read(context, () => compileConfig(HttpClientConfig.decode(bytes), context.fail))
  const { services } = context
  if (services === null) return { start: () => null }
  const counters = mixerCounters('http_mixer_filter', (name) => context.stats.counter(name))
  const forwarded = new ForwardedAttributes(plan.ignoredForwarded, () => counters.malformedForwardedAttributes.inc())
  const { client, batch } = openMixer(plan.transport, services, counters)
  const parts: MixerParts = { client, batch, forwarded }
  return {
    start(_stream: HttpStream, routeConfig: unknown) {
      if (routeConfig === 'off') return null
      const service = routeConfig instanceof RoutePart ? routeConfig.planFor(plan) : plan.service
      return new MixerRequest(service, parts)
    },
    close: () => batch?.flush(),
  }
}

/** Runs a decoding, and puts the filter's place on what it cannot read. */
function read<T>(context: FilterContext, decode: () => T): T {
  try {
    return decode()
  } catch (thrown) {
    if (thrown instanceof WeftError && thrown.where?.path?.startsWith(context.path)) throw thrown
    return context.fail('', WeftError.from(thrown).message)
  }
}
