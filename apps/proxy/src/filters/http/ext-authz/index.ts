import {
  type BufferSettings,
  type CheckSettings,
  ExtAuthz,
  ExtAuthzPerRoute,
} from '@weft/contracts/envoy/extensions/filters/http/ext_authz/v3/ext_authz'
import { headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead } from '@weft/http/message'
import { WeftError } from '@weft/service/errors'
import { requestBytes } from '../../../observe/format/header-operators.ts'
import type { Counter } from '../../../observe/stats.ts'
import { compileFraction } from '../../../plan/runtime.ts'
import { isPseudo } from '../../../routing/matchers/header-matcher.ts'
import { compileMetadataMatcher } from '../../../routing/matchers/metadata-matcher.ts'
import { ClusterCounters } from '../cluster-counters.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import {
  changeRequest,
  changeResponse,
  type HeaderChange,
  isHeaderName,
  replaceHeaders,
  replyMisnamed,
} from '../header-changes.ts'
import { mergeMetadata } from '../metadata-merge.ts'
import type { Check, CheckInput } from './check-input.ts'
import { compileGrpcCheck } from './grpc-service.ts'
import { compileHttpCheck } from './http-service.ts'
import { compileMutationRules, isHeaderValue, type MutationCheck } from './mutation-rules.ts'
import { editQuery, isPlainParameter } from './query-parameters.ts'
import type { Verdict } from './verdict.ts'

const namespace = 'envoy.filters.http.ext_authz'
const failureAllowed = headerName('x-envoy-auth-failure-mode-allowed')

/** `envoy.filters.http.ext_authz`: a service of the user's decides whether a request may pass. */
export const extAuthz: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'],
  routeTypes: ['envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'],
  compile(bytes, context) {
    const source = ExtAuthz.decode(bytes)
    const rules = compileRules(source, context)
    const ofRoutes = new WeakMap<object, Check<Verdict> | null>()
    /** The service that a route names instead of the filter's. */
    const checkOf = (service: NonNullable<CheckSettings['serviceOverride']>): Check<Verdict> | null => {
      let check = ofRoutes.get(service)
      if (check === undefined) {
        check = compileCheck(service, source, context)
        ofRoutes.set(service, check)
      }
      return check
    }
    return {
      start(stream, routeConfig) {
        if (rules.check === null || stream.route === null) return null
        const settings = isSettings(routeConfig) ? routeConfig : noSettings
        const check = settings.serviceOverride === undefined ? rules.check : checkOf(settings.serviceOverride)
        return check === null ? null : new ExtAuthzFilter(rules, settings, check)
      },
      mergeRouteConfigs(configs) {
        const levels = configs.filter(isSettings)
        return { ...levels[0], contextExtensions: Object.assign({}, ...levels.map((one) => one.contextExtensions).reverse()) }
      },
    }
  },
  compileRouteConfig(bytes, _type, context) {
    const { override } = ExtAuthzPerRoute.decode(bytes)
    if (override === undefined) return context.fail('', 'one of disabled and check_settings is needed')
    if (override.$case === 'disabled') return override.value ? 'off' : noSettings
    const { disableRequestBodyBuffering, withRequestBody, serviceOverride } = override.value
    if (disableRequestBodyBuffering && withRequestBody !== undefined)
      return context.fail(
        'check_settings',
        'Invalid configuration for check_settings. Only one of disable_request_body_buffering or with_request_body can be set.',
      )
    if (serviceOverride !== undefined) compileCheck(serviceOverride, ExtAuthz.create(), { ...context, services: null })
    return override.value
  },
}

const noSettings: CheckSettings = {
  contextExtensions: {},
  disableRequestBodyBuffering: false,
  withRequestBody: undefined,
  serviceOverride: undefined,
}

/** Compiles the check by one service or the other; null when only checking. */
function compileCheck(
  service: NonNullable<ExtAuthz['services'] | CheckSettings['serviceOverride']>,
  source: ExtAuthz,
  context: FilterContext,
): Check<Verdict> | null {
  if (service.$case === 'httpService') return compileHttpCheck(service.value, source, context)
  return compileGrpcCheck(service.value, source, context)
}

function isSettings(config: unknown): config is CheckSettings {
  return typeof config === 'object' && config !== null && 'contextExtensions' in config
}

interface Rules {
  readonly source: ExtAuthz
  readonly check: Check<Verdict> | null
  /** What the service may do to the request's headers. */
  readonly mayChange: MutationCheck
  readonly context: FilterContext
  readonly enabled: (stream: HttpStream) => boolean
  readonly denyAtDisable: () => boolean
  /** Request headers whose change lets the route be chosen anew; null: those of all. */
  readonly rerouting: ReadonlySet<string> | null
  readonly errorStatus: number
  readonly counters: ClusterCounters
  readonly clusterPrefix: string
  readonly stats: Readonly<
    Record<
      | 'ok'
      | 'denied'
      | 'error'
      | 'disabled'
      | 'failureAllowed'
      | 'invalid'
      | 'ignoredMetadata'
      | 'limitsReached'
      | 'shadowDenied'
      | 'shadowError',
      Counter
    >
  >
}

/** Rules over the request's headers; without any, nothing is looked at. */
function compileMutationChecks({ decoderHeaderMutationRules }: ExtAuthz, { path }: FilterContext): MutationCheck {
  if (decoderHeaderMutationRules === undefined) return () => 'ok'
  return compileMutationRules(decoderHeaderMutationRules, `${path}.decoder_header_mutation_rules`)
}

function compileRules(source: ExtAuthz, context: FilterContext): Rules {
  const { services, filterEnabled, filterEnabledMetadata, denyAtDisable } = source
  if (services === undefined) return context.fail('', 'one of grpc_service and http_service is needed')
  const drawn = filterEnabled === undefined ? () => true : compileFraction(context.runtime, filterEnabled)
  const noted =
    filterEnabledMetadata === undefined
      ? () => true
      : compileMetadataMatcher(filterEnabledMetadata, `${context.path}.filter_enabled_metadata`)
  const prefix = source.statPrefix === '' ? 'ext_authz.' : `ext_authz.${source.statPrefix}.`
  const stat = (name: string) => context.stats.counter(context.statPrefix + prefix + name)
  // Of what is not done here.
  for (const name of ['filter_state_name_collision', 'omitted_response_headers']) stat(name)
  stat('response_header_limits_reached')
  return {
    source,
    check: compileCheck(services, source, context),
    mayChange: compileMutationChecks(source, context),
    context,
    enabled: (stream) => drawn() && noted(stream.metadataOrNull),
    denyAtDisable: () =>
      denyAtDisable !== undefined && context.runtime.boolean(denyAtDisable.runtimeKey, denyAtDisable.defaultValue ?? false),
    rerouting:
      source.clearRouteCacheHeaders.length === 0
        ? null
        : new Set(source.clearRouteCacheHeaders.map((name) => name.toLowerCase())),
    errorStatus: source.statusOnError?.code || 403,
    counters: new ClusterCounters(context.stats),
    clusterPrefix: prefix,
    stats: {
      ok: stat('ok'),
      denied: stat('denied'),
      error: stat('error'),
      disabled: stat('disabled'),
      failureAllowed: stat('failure_mode_allowed'),
      shadowDenied: stat('shadow_denied'),
      shadowError: stat('shadow_error'),
      invalid: stat('invalid'),
      ignoredMetadata: stat('ignored_dynamic_metadata'),
      limitsReached: stat('request_header_limits_reached'),
    },
  }
}

/** Whether a request has become larger than a client's may be. */
function isTooLarge(request: RequestHead, { maxHeaders, maxHeadBytes }: HttpStream['requestLimits']): boolean {
  const pseudo = [request.method, request.path, request.authority, request.scheme].filter((value) => value !== '')
  return request.headers.size + pseudo.length > maxHeaders || requestBytes(request) > maxHeadBytes
}

class ExtAuthzFilter implements HttpFilter {
  private readonly rules: Rules
  private readonly settings: CheckSettings
  private readonly check: Check<Verdict>
  private readonly abort = new AbortController()
  private state: 'before' | 'gathering' | 'asking' | 'done' = 'before'
  private body: Buffer[] = []
  private bodyBytes = 0
  private startedMs = 0
  private responseChanges: readonly HeaderChange[] = []

  constructor(rules: Rules, settings: CheckSettings, check: Check<Verdict>) {
    this.rules = rules
    this.settings = settings
    this.check = check
  }

  private get buffering(): BufferSettings | undefined {
    const { settings, rules } = this
    if (settings.disableRequestBodyBuffering) return undefined
    return settings.withRequestBody ?? rules.source.withRequestBody
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    const { rules, buffering } = this
    if (!rules.enabled(stream)) {
      this.state = 'done'
      rules.stats.disabled.inc()
      if (!rules.denyAtDisable()) return 'continue'
      stream.reply(rules.errorStatus, '', { details: 'ext_authz_error', flags: ['UAEX'] })
      return 'stop'
    }
    if (buffering === undefined || endStream || stream.upgrade !== '') {
      this.ask(stream, null)
      return 'stop'
    }
    this.state = 'gathering'
    if (!buffering.allowPartialMessage) stream.requestBufferLimit = buffering.maxRequestBytes
    else if (stream.requestBufferLimit < buffering.maxRequestBytes) stream.requestBufferLimit = buffering.maxRequestBytes
    return 'buffer'
  }

  onRequestData(stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus {
    const { buffering } = this
    if (this.state !== 'gathering' || buffering === undefined) return 'continue'
    const room = buffering.maxRequestBytes - this.bodyBytes
    if (room > 0) this.body.push(Buffer.from(data.subarray(0, room)))
    this.bodyBytes += data.length
    const full = buffering.allowPartialMessage && this.bodyBytes >= buffering.maxRequestBytes
    const tooLong = this.bodyBytes > buffering.maxRequestBytes
    // Without partial bodies what is too long is answered where bytes are kept: HTTP/2's last frame is not, in Envoy.
    if (!full && (!endStream || (tooLong && stream.request.version !== 20))) return 'buffer'
    // A body that goes on is held back from here, and no longer gathered.
    this.ask(stream, { bytes: Buffer.concat(this.body), isPartial: tooLong || !endStream })
    return 'stop'
  }

  onRequestTrailers(stream: HttpStream, _trailers: HeaderTable): FilterStatus {
    if (this.state !== 'gathering') return 'continue'
    this.ask(stream, this.bodyBytes === 0 ? null : { bytes: Buffer.concat(this.body), isPartial: false })
    return 'stop'
  }

  private ask(stream: HttpStream, body: CheckInput['body']): void {
    const { settings } = this
    this.state = 'asking'
    this.startedMs = performance.now()
    this.body = []
    const input = { stream, body, contextExtensions: settings.contextExtensions }
    this.check(input, this.abort.signal).then(
      (verdict) => this.conclude(stream, verdict),
      (error: unknown) => this.conclude(stream, { type: 'error', reason: WeftError.from(error).message }),
    )
  }

  private conclude(stream: HttpStream, verdict: Verdict): void {
    if (stream.done || this.state !== 'asking') return
    this.state = 'done'
    const { validateMutations } = this.rules.source
    if (validateMutations && verdict.type === 'ok' && verdict.unknownAction) {
      this.onInvalid(stream)
      return
    }
    this.note(stream, verdict.metadata ?? null, verdict.type === 'ok')
    if (validateMutations && !isValid(verdict)) {
      if (verdict.type === 'denied') this.countDenied(stream, verdict.status)
      this.onInvalid(stream)
      return
    }
    switch (verdict.type) {
      case 'ok':
        this.letPass(stream, verdict)
        break
      case 'denied':
        this.deny(stream, verdict)
        break
      case 'error':
        this.onError(stream, verdict)
    }
  }

  private count(stream: HttpStream, name: string): void {
    this.rules.counters.inc(stream.clusterName, this.rules.clusterPrefix + name)
  }

  private note(stream: HttpStream, metadata: Readonly<Record<string, unknown>> | null, timed: boolean): void {
    const { rules } = this
    if (metadata === null || Object.keys(metadata).length === 0) return
    if (rules.source.enableDynamicMetadataIngestion === false) {
      rules.stats.ignoredMetadata.inc()
      return
    }
    const own = stream.metadata(namespace)
    mergeMetadata(own, metadata)
    if (timed) own['ext_authz_duration'] = Math.round(performance.now() - this.startedMs)
  }

  private letPass(stream: HttpStream, verdict: Extract<Verdict, { type: 'ok' }>): void {
    const { rules } = this
    const { request } = stream
    const judged = verdict.request.map((change) => ({
      change,
      may: rules.mayChange(change.name, change.value, change.how === 'append'),
    }))
    const removals = verdict.remove.filter(isHeaderName).map((name) => ({ name, may: rules.mayChange(name.toLowerCase(), null) }))
    if ([...judged, ...removals].some(({ may }) => may === 'error')) {
      this.onInvalid(stream)
      return
    }
    const changes = judged.filter(({ may }) => may === 'ok').map(({ change }) => change)
    const misnamed = changeRequest(request, changes)
    if (misnamed !== null) {
      replyMisnamed(stream, misnamed)
      return
    }
    for (const { name, may } of removals) if (may === 'ok' && !isPseudo(name)) request.headers.remove(headerName(name))
    if (changes.length > 0 && isTooLarge(request, stream.requestLimits)) {
      rules.stats.limitsReached.inc()
      this.onInvalid(stream)
      return
    }
    request.path = editQuery(request.path, verdict.setParameters, verdict.removeParameters)
    this.responseChanges = verdict.response
    this.count(stream, 'ok')
    rules.stats.ok.inc()
    const { rerouting } = rules
    const names = [...verdict.request.map(({ name }) => name), ...verdict.remove.map((name) => name.toLowerCase())]
    const changed =
      names.some((name) => rerouting?.has(name) ?? true) || verdict.setParameters.length + verdict.removeParameters.length > 0
    if (rules.source.clearRouteCache && changed) stream.clearRoute()
    stream.continueRequest()
  }

  private deny(stream: HttpStream, verdict: Extract<Verdict, { type: 'denied' }>): void {
    const { rules } = this
    this.countDenied(stream, verdict.status)
    if (rules.source.shadowMode) {
      rules.stats.shadowDenied.inc()
      stream.continueRequest()
      return
    }
    const most = rules.source.maxDeniedResponseBodyBytes
    const body = most > 0 ? verdict.body.subarray(0, most) : verdict.body
    stream.reply(verdict.status, body, {
      details: 'ext_authz_denied',
      flags: ['UAEX'],
      edit: (response) => replaceHeaders(response, verdict.headers),
    })
  }

  private countDenied(stream: HttpStream, status: number): void {
    const { rules } = this
    this.count(stream, 'denied')
    rules.stats.denied.inc()
    if (rules.source.shadowMode || rules.source.chargeClusterResponseStats === false) return
    rules.counters.response(stream.clusterName, status)
  }

  /** The service asks for what no header can be, or what it may not change. */
  private onInvalid(stream: HttpStream): void {
    this.count(stream, 'invalid')
    this.rules.stats.invalid.inc()
    stream.reply(500, '', { details: 'ext_authz_invalid', flags: ['UAEX'] })
  }

  private onError(stream: HttpStream, { reason, answer }: Extract<Verdict, { type: 'error' }>): void {
    const { rules } = this
    rules.context.services?.log('debug', `ext_authz: ${reason}`)
    this.count(stream, 'error')
    rules.stats.error.inc()
    if (rules.source.shadowMode) {
      rules.stats.shadowError.inc()
      stream.continueRequest()
      return
    }
    if (rules.source.failureModeAllow) {
      this.count(stream, 'failure_mode_allowed')
      rules.stats.failureAllowed.inc()
      if (rules.source.failureModeAllowHeaderAdd) stream.request.headers.set(failureAllowed, 'true')
      stream.continueRequest()
      return
    }
    stream.reply(answer?.status || rules.errorStatus, answer?.body ?? '', {
      details: 'ext_authz_error',
      flags: ['UAEX'],
      edit: (response) => replaceHeaders(response, answer?.headers ?? []),
    })
  }

  onResponseHeaders({ response }: HttpStream): FilterStatus {
    changeResponse(response, this.responseChanges)
    return 'continue'
  }

  onComplete(): void {
    if (this.state === 'asking') this.abort.abort()
    this.state = 'done'
  }
}

function isValid(verdict: Verdict): boolean {
  const change = ({ name, value }: HeaderChange) => isHeaderName(name) && isHeaderValue(value)
  switch (verdict.type) {
    case 'ok':
      return (
        verdict.request.every(change) &&
        verdict.response.every(change) &&
        verdict.setParameters.every(({ key, value }) => isPlainParameter(key) && isPlainParameter(value))
      )
    case 'denied':
      return verdict.headers.every(change)
    case 'error':
      return (verdict.answer?.headers ?? []).every(change)
  }
}
