import type {
  LoadBalancerSettings,
  LocalityLoadBalancerSetting,
} from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { Report } from './report.ts'
import { checkDuration } from './scalars.ts'

const roundRobin = 4
const leastRequest = 5

/** How a request's endpoint is chosen. */
export function checkLoadBalancer(settings: LoadBalancerSettings, report: Report): void {
  const { lbPolicy, localityLbSetting, zoneAwareLbSetting, warmup } = settings
  if (lbPolicy?.$case === 'consistentHash') {
    const at = report.at('consistentHash')
    const { hashKey, hashAlgorithm } = lbPolicy.value
    if (hashKey?.$case === 'httpCookie') {
      if (hashKey.value.name === '') at.at('httpCookie', 'name').error('the cookie must have a name')
      checkDuration(hashKey.value.ttl, at.at('httpCookie', 'ttl'), 0)
    }
    if (hashKey?.$case === 'httpHeaderName' && hashKey.value === '') at.at('httpHeaderName').error('the header must have a name')
    if (hashAlgorithm?.$case === 'maglev') checkMaglev(hashAlgorithm.value.tableSize, at.at('maglev', 'tableSize'))
  }
  if (localityLbSetting !== undefined && zoneAwareLbSetting !== undefined) {
    report.at('zoneAwareLbSetting').error('localityLbSetting and zoneAwareLbSetting exclude each other')
  }
  if (localityLbSetting !== undefined) checkLocality(localityLbSetting, report.at('localityLbSetting'))
  const simple = lbPolicy?.$case === 'simple' ? lbPolicy.value : undefined
  if (
    (warmup !== undefined || settings.warmupDurationSecs !== undefined) &&
    lbPolicy !== undefined &&
    simple !== roundRobin &&
    simple !== leastRequest &&
    simple !== 0
  ) {
    report.at('warmup').error('warmup needs ROUND_ROBIN or LEAST_REQUEST')
  }
  checkDuration(settings.warmupDurationSecs, report.at('warmupDurationSecs'))
  if (warmup === undefined) return
  if (warmup.duration === undefined) report.at('warmup', 'duration').error('Required value: warmup must have a duration')
  checkDuration(warmup.duration, report.at('warmup', 'duration'))
  if (warmup.minimumPercent !== undefined && !(warmup.minimumPercent >= 0 && warmup.minimumPercent <= 100)) {
    report.at('warmup', 'minimumPercent').error('Invalid value: must be in range 0..100')
  }
  if (warmup.aggression !== undefined && !(warmup.aggression >= 1))
    report.at('warmup', 'aggression').error('Invalid value: must be at least 1')
}

const largestTable = 5_000_011

function checkMaglev(size: number, report: Report): void {
  const prime =
    size > 1 &&
    Array.from({ length: Math.min(Math.floor(Math.sqrt(size)), 2_300) - 1 }, (_, index) => index + 2).every((n) => size % n !== 0)
  if (size !== 0 && (!prime || size > largestTable)) report.error(`must be a prime number up to ${largestTable}`)
}

function checkLocality({ distribute, failover, failoverPriority }: LocalityLoadBalancerSetting, report: Report): void {
  if (distribute.length > 0 && (failover.length > 0 || failoverPriority.length > 0)) {
    report.error('distribute excludes failover and failoverPriority')
  }
  const sources: string[] = []
  for (const [index, { from, to }] of distribute.entries()) {
    const at = report.at('distribute', index)
    checkPattern(from, at.at('from'))
    const twice = sources.find((other) => localityCovers(other, from) || localityCovers(from, other))
    if (twice !== undefined) at.at('from').error(`locality ${from} overlaps ${twice}`)
    sources.push(from)
    let total = 0
    const targets: string[] = []
    for (const [locality, weight] of Object.entries(to)) {
      checkPattern(locality, at.at('to', locality))
      const same = targets.find((other) => localityCovers(other, locality) || localityCovers(locality, other))
      if (same !== undefined) at.at('to', locality).error(`locality ${locality} overlaps ${same}`)
      targets.push(locality)
      if (weight < 1 || weight > 100) at.at('to', locality).error('weight must be in range 1..100')
      total += weight
    }
    if (total !== 100) at.at('to').error(`total locality weight ${total} != 100`)
  }
  for (const [index, { from, to }] of failover.entries()) {
    const at = report.at('failover', index)
    if (from === to) at.error(`failover from ${from} leads to itself`)
    for (const region of [from, to]) if (region.includes('/') || region.includes('*')) at.error('failover names regions alone')
  }
}

/** `region/zone/subzone`, where the last given part may be `*`. */
function checkPattern(locality: string, report: Report): void {
  const parts = locality.split('/')
  if (locality === '' || parts.length > 3 || parts.some((part) => part === ''))
    report.error(`"${locality}" is no locality: region/zone/subzone`)
  const star = locality.indexOf('*')
  if (star >= 0 && star !== locality.length - 1) report.error('"*" may only stand at the end of a locality')
}

function localityCovers(pattern: string, locality: string): boolean {
  if (pattern === locality || pattern === '*') return true
  return pattern.endsWith('/*') ? locality.startsWith(pattern.slice(0, -1)) : locality.startsWith(`${pattern}/`)
}
