import type { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import type { z } from 'zod'
import type { Exposition } from './adapters/prometheus/exposition.ts'
import type { ApiKeyInstance } from './templates/apikey.ts'
import type { AuthorizationInstance } from './templates/authorization.ts'
import type { CheckNothingInstance } from './templates/checknothing.ts'
import type { KubernetesInstance, KubernetesOutput } from './templates/kubernetes.ts'
import type { ListEntryInstance } from './templates/listentry.ts'
import type { LogEntryInstance } from './templates/logentry.ts'
import type { MetricInstance } from './templates/metric.ts'
import type { QuotaInstance } from './templates/quota.ts'
import type { ReportNothingInstance } from './templates/reportnothing.ts'
import type { TraceSpanInstance } from './templates/tracespan.ts'

export type { AttributeValue } from '@weft/attributes/types'

/** The canonical status codes (google.rpc.Code) by name. */
export const statusCodes = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

export type StatusCode = keyof typeof statusCodes

/** What a check says: its status and how long and how often a sidecar may use the answer again. */
export interface Verdict {
  /** A code of `statusCodes`; 0 lets the request pass. */
  code: number
  message: string
  /** Default: one minute. */
  validDurationMs?: number
  /** Default: 10,000. */
  validUseCount?: number
  /** For a denial: the HTTP answer to give in place of the one that belongs to the code. */
  directResponse?: { code: number; body?: string }
}

export type Validity = Pick<Verdict, 'validDurationMs' | 'validUseCount'>

/** A verdict that lets the request pass. */
export function allow(validity: Validity = {}): Verdict {
  return { code: statusCodes.OK, message: '', ...validity }
}

/** A verdict that stops the request, with the text that the caller reads. */
export function deny(message: string, options: Omit<Partial<Verdict>, 'code' | 'message'> & { code?: StatusCode } = {}): Verdict {
  const { code, ...rest } = options
  return { ...rest, code: statusCodes[code ?? 'PERMISSION_DENIED'], message }
}

/** What one call may know beside its instance. */
export interface Call {
  /** Aborted when the deadline of this call has passed. */
  readonly signal: AbortSignal
}

export interface QuotaCall extends Call {
  /** How much to take; negative gives back. */
  readonly amount: number
  /** Take what is left when the whole amount is not. */
  readonly bestEffort: boolean
  /** A call with an id that was seen before gets the same answer and takes nothing. Empty: never seen before. */
  readonly dedupId: string
}

export interface QuotaGrant {
  /** What was granted (given back, for a negative amount); 0 is a refusal. */
  amount: number
  /** How long the grant may be used; 0: without end. */
  validDurationMs: number
}

/** How a template's handler is called and what it gives. */
interface Shapes {
  apikey: Check<ApiKeyInstance>
  authorization: Check<AuthorizationInstance>
  checknothing: Check<CheckNothingInstance>
  listentry: Check<ListEntryInstance>
  quota: (instance: QuotaInstance, call: QuotaCall) => QuotaGrant | Promise<QuotaGrant>
  logentry: Report<LogEntryInstance>
  metric: Report<MetricInstance>
  reportnothing: Report<ReportNothingInstance>
  tracespan: Report<TraceSpanInstance>
  kubernetes: (
    instance: KubernetesInstance,
    call: Call,
  ) => Partial<KubernetesOutput> | undefined | Promise<Partial<KubernetesOutput> | undefined>
}

/** A check may answer with a verdict, with true or false, or with nothing, which lets pass. */
type CheckAnswer = Verdict | boolean | undefined
// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing is a valid one
type Check<Instance> = (instance: Instance, call: Call) => CheckAnswer | void | Promise<CheckAnswer | void>
type Report<Instance> = (instance: Instance) => void | Promise<void>

export type TemplateName = keyof Shapes
export type Handle<Template extends TemplateName> = Shapes[Template]
export type AnyHandle = Handle<TemplateName>

/** What Mixer lends to a handler for its life. */
export interface HandlerEnvironment {
  /** The handler's full name: `name.kind.namespace`. */
  readonly name: string
  readonly logger: Logger
  /** Aborted when the handler is closed. */
  readonly signal: AbortSignal
  /** Milliseconds of a clock that never goes back. */
  now(): number
  /** Tells that the handler cannot work at present, and why; undefined: that it can. Logged when it changes, and counted. */
  health(problem: WeftError | undefined): void
  /** Where metrics are exposed for Prometheus. */
  readonly exposition: Exposition
  /** Redis for handlers that name none; from `--redis-url`. */
  readonly redisUrl: string | undefined
}

/** A handler as its template functions see it. */
export interface Handler<Config, State> extends HandlerEnvironment {
  readonly config: Config
  readonly state: State
}

export interface AdapterDefinition<Schema extends z.ZodType, State> {
  /** The name that handlers write as `compiledAdapter`, or as their kind. */
  name: string
  /** Checks a handler's parameters. */
  config: Schema
  /** Makes what the handler keeps while it lives. Throws when the handler cannot work. */
  open?: (handler: HandlerEnvironment & { config: z.output<Schema> }) => State | Promise<State>
  /** Ends what `open` made. */
  close?: (state: State) => void | Promise<void>
  /** For each template that the adapter serves: handler → function of an instance. */
  templates: { [Template in TemplateName]?: (handler: Handler<z.output<Schema>, State>) => Handle<Template> }
}

/** A handler that runs: its functions by template, and its end. */
export interface OpenHandler {
  readonly handles: ReadonlyMap<TemplateName, AnyHandle>
  close(): Promise<void>
}

/** An adapter as Mixer uses it, whatever its types inside. */
export interface Adapter {
  readonly name: string
  readonly templates: readonly TemplateName[]
  /** Checks parameters without making anything; throws the schema's error. */
  validate(params: unknown): void
  /** Checks the parameters and makes a handler of them. */
  open(params: unknown, environment: HandlerEnvironment): Promise<OpenHandler>
}

/** Makes an adapter: the only form in which Mixer is extended, for its own adapters and for yours. */
export function adapter<Schema extends z.ZodType, State = undefined>(definition: AdapterDefinition<Schema, State>): Adapter {
  const templates = definition.templates
  const names = templateNames.filter((name) => templates[name] !== undefined)
  return {
    name: definition.name,
    templates: names,
    validate: (params) => void definition.config.parse(params),
    async open(params, environment) {
      const config = definition.config.parse(params)
      const state = (await definition.open?.({ ...environment, config })) as State
      const handler: Handler<z.output<Schema>, State> = { ...environment, config, state }
      const handles = new Map<TemplateName, AnyHandle>()
      for (const name of names) {
        const make: ((handler: Handler<z.output<Schema>, State>) => AnyHandle) | undefined = templates[name]
        if (make !== undefined) handles.set(name, make(handler))
      }
      return { handles, close: async () => definition.close?.(state) }
    },
  }
}

/** All templates that an adapter may serve. */
export const templateNames: readonly TemplateName[] = [
  'apikey',
  'authorization',
  'checknothing',
  'kubernetes',
  'listentry',
  'logentry',
  'metric',
  'quota',
  'reportnothing',
  'tracespan',
]
