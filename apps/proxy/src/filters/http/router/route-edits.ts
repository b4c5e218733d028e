import { headerName } from '@weft/http/header-name'
import type { ClusterChoice } from '../../../routing/route-action.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { RouterPlan } from './router-plan.ts'

const attemptCount = headerName('x-envoy-attempt-count')
const serviceTime = headerName('x-envoy-upstream-service-time')
const setCookie = headerName('set-cookie')

/**
 * The header edits of the route, and of the cluster that was chosen, on the answer; and how often it was tried for. Routes that lead
 * nowhere have edits for their own answers alone.
 */
export function editResponse(exchange: RoutedExchange, choice: ClusterChoice | null, tellsTries = true): void {
  const { headers } = exchange.response
  choice?.edits?.onResponse(exchange, headers)
  const { route, info } = exchange
  if (route === null || route.outcome.type !== 'forward') return
  const { edits, host } = route
  for (let i = 0; i < edits.length; i++) edits[i]!.onResponse(exchange, headers)
  if (tellsTries && host.includeAttemptCountInResponse && info.attemptCount > 0)
    headers.set(attemptCount, String(info.attemptCount))
}

/** Makes the head of upstream's answer what the filters see. `cookies`: those that hash policies made. */
export function finishAnswer(
  exchange: RoutedExchange,
  plan: RouterPlan,
  choice: ClusterChoice | null,
  cookies: readonly string[] | null,
): void {
  const { info, response, route } = exchange
  if (info.requestEndMs >= 0 && !plan.suppressHeaders)
    response.headers.set(serviceTime, String(Math.max(0, Math.floor(info.upstreamFirstByteMs - info.requestEndMs))))
  if (route === null) return
  editResponse(exchange, choice)
  if (cookies !== null) for (const cookie of cookies) response.headers.append(setCookie, cookie)
}
