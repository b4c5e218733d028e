import type { TypedObject } from '@weft/config/objects'
import type {
  Destination,
  HTTPRoute,
  RouteDestination,
  VirtualService,
} from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { fullGateway, fullHost } from './host.ts'

/** A VirtualService with full host and gateway names, and what Istio 1.0 wrote in the form of today. */
export function resolveVirtualService(object: TypedObject<'VirtualService'>, domain: string): TypedObject<'VirtualService'> {
  const { namespace } = object.metadata
  const full = (host: string): string => fullHost(host, namespace, domain)
  const gateways = (names: readonly string[]): string[] => names.map((name) => fullGateway(name, namespace))
  const { spec } = object
  const resolved: VirtualService = {
    ...spec,
    hosts: spec.hosts.map(full),
    gateways: spec.gateways.length === 0 ? ['mesh'] : gateways(spec.gateways),
    http: spec.http.map((route) => resolveHttpRoute(route, full, gateways)),
    tcp: spec.tcp.map((route) => ({
      match: route.match.map((match) => ({ ...match, gateways: gateways(match.gateways) })),
      route: route.route.map((weighted) => resolveWeighted(weighted, full)),
    })),
    tls: spec.tls.map((route) => ({
      match: route.match.map((match) => ({ ...match, gateways: gateways(match.gateways) })),
      route: route.route.map((weighted) => resolveWeighted(weighted, full)),
    })),
  }
  return { ...object, spec: resolved }
}

type Full = (host: string) => string

function resolveHttpRoute(route: HTTPRoute, full: Full, gateways: (names: readonly string[]) => string[]): HTTPRoute {
  const { fault } = route
  return {
    ...route,
    match: route.match.map((match) => ({ ...match, gateways: gateways(match.gateways) })),
    route: route.route.map((weighted) => ({ ...weighted, destination: resolveDestination(weighted.destination, full) })),
    mirror: resolveDestination(route.mirror, full),
    mirrors: route.mirrors.map((mirror) => ({ ...mirror, destination: resolveDestination(mirror.destination, full) })),
    mirrorPercentage: route.mirrorPercentage ?? percentOf(route.mirrorPercent),
    headers: withOldHeaders(route),
    fault: fault && {
      delay: fault.delay && { ...fault.delay, percentage: fault.delay.percentage ?? percentOf(fault.delay.percent || undefined) },
      abort: fault.abort && { ...fault.abort, percentage: fault.abort.percentage ?? percentOf(fault.abort.percent || undefined) },
    },
  }
}

/** The header fields of Istio 1.0 as `headers` of today, which goes first. */
function withOldHeaders(route: HTTPRoute): HTTPRoute['headers'] {
  const request = { ...route.appendHeaders, ...route.appendRequestHeaders }
  const response = route.appendResponseHeaders
  const removeResponse = Object.keys(route.removeResponseHeaders)
  if (
    Object.keys(request).length + Object.keys(response).length + removeResponse.length + route.removeRequestHeaders.length ===
    0
  ) {
    return route.headers
  }
  const given = route.headers
  return {
    request: {
      set: given?.request?.set ?? {},
      add: { ...request, ...given?.request?.add },
      remove: [...(given?.request?.remove ?? []), ...route.removeRequestHeaders],
    },
    response: {
      set: given?.response?.set ?? {},
      add: { ...response, ...given?.response?.add },
      remove: [...(given?.response?.remove ?? []), ...removeResponse],
    },
  }
}

function percentOf(value: number | undefined): { value: number } | undefined {
  return value === undefined ? undefined : { value }
}

function resolveWeighted(weighted: RouteDestination, full: Full): RouteDestination {
  return { ...weighted, destination: resolveDestination(weighted.destination, full) }
}

function resolveDestination(destination: Destination | undefined, full: Full): Destination | undefined {
  return destination && { ...destination, host: full(destination.host) }
}

/** A DestinationRule with the full name of its host. */
export function resolveDestinationRule(object: TypedObject<'DestinationRule'>, domain: string): TypedObject<'DestinationRule'> {
  return { ...object, spec: { ...object.spec, host: fullHost(object.spec.host, object.metadata.namespace, domain) } }
}
