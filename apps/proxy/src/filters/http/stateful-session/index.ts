import {
  StatefulSession,
  StatefulSessionPerRoute,
} from '@weft/contracts/envoy/extensions/filters/http/stateful_session/v3/stateful_session'
import type { Counter } from '../../../observe/stats.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { compileSessionState, type SessionState } from './session-state.ts'

const unavailable = 503

/** A configuration, compiled. */
interface Sessions {
  /** null: requests have no sessions. */
  readonly state: SessionState | null
  /** Requests go to their session's endpoint or nowhere. */
  readonly strict: boolean
  readonly missingStatus: number
  readonly counts: Counts | null
}

interface Counts {
  readonly routed: Counter
  readonly failedOpen: Counter
  readonly failedClosed: Counter
  readonly noSession: Counter
}

/** `envoy.filters.http.stateful_session`: what belongs to one session goes to one endpoint, as long as that is there. */
export const statefulSession: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.stateful_session.v3.StatefulSession'],
  routeTypes: ['envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute'],
  compile(bytes, context) {
    const source = StatefulSession.decode(bytes)
    const stat = (name: string) => context.stats.counter(`${context.statPrefix}stateful_session.${source.statPrefix}.${name}`)
    const counts: Counts | null =
      source.statPrefix === ''
        ? null
        : {
            routed: stat('routed'),
            failedOpen: stat('failed_open'),
            failedClosed: stat('failed_closed'),
            noSession: stat('no_session'),
          }
    const own = compileSessions(source, '', counts, context)
    return { start: (_stream, routeConfig) => new SessionFilter(routeConfig === undefined ? own : (routeConfig as Sessions)) }
  },
  compileRouteConfig(bytes, _type, context) {
    const { override } = StatefulSessionPerRoute.decode(bytes)
    if (override === undefined) return context.fail('', 'one of disabled and stateful_session is needed')
    return override.$case === 'disabled' ? 'off' : compileSessions(override.value, 'stateful_session.', null, context)
  },
}

function compileSessions(source: StatefulSession, path: string, counts: Counts | null, context: FilterContext): Sessions {
  const status = source.statusOnStrictDestinationNotFound
  return {
    state:
      source.sessionState === undefined
        ? null
        : compileSessionState(source.sessionState, (message) => context.fail(`${path}session_state`, message)),
    strict: source.strict,
    missingStatus: source.strict && status !== 0 ? status : unavailable,
    counts,
  }
}

class SessionFilter implements HttpFilter {
  private readonly sessions: Sessions
  private state: SessionState | null = null
  private address = ''

  constructor(sessions: Sessions) {
    this.sessions = sessions
  }

  onRequestHeaders({ request, info }: HttpStream): FilterStatus {
    const { state, strict, missingStatus } = this.sessions
    if (state === null || !state.covers(request.path)) return 'continue'
    this.state = state
    this.address = state.read(request)
    if (this.address !== '') info.hostWish = { address: this.address, strict, missingStatus }
    return 'continue'
  }

  onResponseHeaders({ response, info }: HttpStream): FilterStatus {
    const { strict, counts } = this.sessions
    const host = info.upstreamHost?.address ?? null
    if (this.state === null) {
      if (host !== null) counts?.noSession.inc()
    } else if (host === null) {
      if (strict && info.responseFlags.includes('UH')) counts?.failedClosed.inc()
    } else if (host === this.address) counts?.routed.inc()
    else {
      this.state.write(response, host)
      if (!strict) counts?.failedOpen.inc()
    }
    return 'continue'
  }
}
