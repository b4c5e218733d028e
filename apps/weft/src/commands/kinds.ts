/** Short names of kinds, as kubectl has them. */
const shortNames: Record<string, string> = {
  vs: 'VirtualService',
  dr: 'DestinationRule',
  gw: 'Gateway',
  se: 'ServiceEntry',
  we: 'WorkloadEntry',
  wg: 'WorkloadGroup',
  pa: 'PeerAuthentication',
  ra: 'RequestAuthentication',
  ap: 'AuthorizationPolicy',
  svc: 'Service',
  ing: 'Ingress',
}

/** A kind by any of its names: `vs`, `virtualservice`, `virtualservices`, `VirtualService`. Pilot reads any case. */
export function kindOf(name: string): string {
  const lower = name.toLowerCase()
  const short = Object.hasOwn(shortNames, lower) ? shortNames[lower] : undefined
  if (short !== undefined) return short
  if (/(policies|entries|telemetries)$/.test(lower)) return `${lower.slice(0, -3)}y`
  if (lower.endsWith('sses')) return lower.slice(0, -2)
  // Kinds that end in s by themselves have no plural of their own here: handlers, rules, services lose it.
  return lower.endsWith('s') && !lower.endsWith('ss') ? lower.slice(0, -1) : lower
}
