import { connectionHas } from '@weft/http/h1/framing'
import { names } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import type { TextMatcher } from '../../../routing/matchers/string-matcher.ts'
import type { ManagedExchange } from './managed-exchange.ts'

/** What a request wants its connection to become: `connect`, a protocol (`-`: none in words), or nothing. */
export type Upgrade =
  | { readonly type: 'none' }
  /** All that is asked for is h2c, which is not spoken here, or what is ignored: it is not passed on. */
  | { readonly type: 'declined' }
  | { readonly type: 'asked'; readonly to: string }

const noUpgrade: Upgrade = { type: 'none' }
const declined: Upgrade = { type: 'declined' }
const connect: Upgrade = { type: 'asked', to: 'connect' }

/** `ignores`: which protocols of HTTP/1.1's Upgrade count for nothing. */
export function upgradeOf({ method, headers, version }: RequestHead, ignores: TextMatcher | null = null): Upgrade {
  if (method === 'CONNECT') return connect
  if (headers.find(names.upgrade) < 0 || !connectionHas(headers, 'upgrade')) return noUpgrade
  const value = headers.get(names.upgrade) ?? ''
  if (value === '') return { type: 'asked', to: '-' }
  const asked = value.split(',').map((one) => one.trim())
  const left = ignores === null || version === 20 ? asked : asked.filter((one) => !ignores(one))
  const some = left.length < asked.length && left.length > 0
  if (some) headers.set(names.upgrade, left.join(','))
  // Beside what is ignored h2c is asked for like anything else.
  const to = left
    .map((one) => one.toLowerCase())
    .filter((one) => some || one !== 'h2c')
    .join(', ')
  return to === '' ? declined : { type: 'asked', to }
}

/** Counts the upgrade that the request asks for; one that is not configured is refused, as Envoy does: false. */
export function acceptUpgrade(exchange: ManagedExchange): boolean {
  const { route, plan, upgrade, downstream } = exchange
  const forward = route?.outcome.type === 'forward' ? route.outcome.forward : null
  if (forward?.upgrades.get(upgrade) ?? plan.upgrades.get(upgrade)?.enabled ?? false) {
    plan.stats.upgradesTotal.inc()
    plan.stats.upgradesActive.inc()
    exchange.upgradeCounted = true
    return true
  }
  if (upgrade === 'connect' && route === null) return true
  plan.stats.wsOnNonWsRoute.inc()
  if (downstream.isHttp2) downstream.drain()
  exchange.refuse(403, { details: 'upgrade_failed' })
  return false
}
