import { hostname } from 'node:os'
import { headerName } from '@weft/http/header-name'
import { compileText } from '../../expressions/expression.ts'
import { resultText } from '../../expressions/result-text.ts'
import { invalid } from '../../plan/problems.ts'
import { askForRoundTrips } from '../../transport/round-trips.ts'
import { wallTime } from '../stream-record.ts'
import { addressOperators } from './address-operators.ts'
import { type FormatContext, logTypeOf } from './context.ts'
import { durationOperators } from './duration-operators.ts'
import { grpcStatusNumber, grpcStatusOperator } from './grpc-status.ts'
import { headerOperators } from './header-operators.ts'
import { metadataOperators } from './metadata-operators.ts'
import { type Operator, type OperatorKind, plain } from './operator.ts'
import { longFlag } from './response-flags.ts'
import { compileTimeFormat } from './time.ts'
import { tlsOperators } from './tls-operators.ts'
import { wireOperators } from './wire-operators.ts'
import { wireText } from './wire-text.ts'

const local = hostname()
const traceparent = headerName('traceparent')
const requestId = headerName('x-request-id')

/**
 * Compiles one command operator of Envoy's substitution formats, e.g. `REQ(x-a?:path):12`. Throws for one that is not known.
 */
export function compileOperator(command: string, path: string): Operator {
  const match = /^([A-Z0-9_]+)(?:\((.*)\))?(?::(\d{1,16}))?$/s.exec(command)
  if (match === null) throw invalid(path, `malformed format operator '%${command}%'`)
  const [, name = '', argument = '', length] = match
  if (kinds[name]?.bare === true && command !== name)
    throw invalid(path, `'%${command}%': ${name} takes neither argument nor length`)
  if (length !== undefined && !cuttable.has(name)) throw invalid(path, `${name} does not allow length to be specified`)
  return truncated(compileNamed(name, argument, command, path), length === undefined ? null : Number(length))
}

/** Operators whose values can be cut to a length. */
const cuttable = new Set(
  (
    'REQ REQUEST_HEADER REQ_WITHOUT_QUERY RESP RESPONSE_HEADER TRAILER RESPONSE_TRAILER PATH QUERY_PARAM QUERY_PARAMS METADATA ' +
    'DYNAMIC_METADATA FILTER_STATE UPSTREAM_FILTER_STATE PER_REQUEST_STATE ENVIRONMENT CEL COALESCE'
  ).split(' '),
)

function compileNamed(name: string, argument: string, command: string, path: string): Operator {
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
  if (kind === undefined) throw invalid(path, `unknown format operator '%${command}%'`)
  return kind(argument, path)
}

function truncated(operator: Operator, textLimit: number | null): Operator {
  if (textLimit === null) return operator
  const read = (context: FormatContext) => {
    const value = operator(context)
    return typeof value === 'string' ? value.slice(0, textLimit) : value
  }
  return Object.assign(read, { textLimit })
}

/** `COALESCE({"operators": […]})`: the first of them that has a value. */
const coalesce: OperatorKind = (argument, path) => {
  const operators = coalesced(argument, path).map((one) => {
    if (typeof one === 'string') return compileNamed(one, '', one, path)
    const { command, param, max_length } = one
    return truncated(compileNamed(command, param ?? '', command, path), max_length ?? null)
  })
  return (context) => {
    for (const read of operators) {
      const value = read(context)
      if (value !== null) return value
    }
    return null
  }
}

type Coalesced = string | { command: string; param?: string; max_length?: number }

function coalesced(argument: string, path: string): Coalesced[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(argument)
  } catch {
    throw invalid(path, `COALESCE needs a JSON object, not '${argument.slice(0, 100)}'`)
  }
  const operators: unknown = typeof parsed === 'object' && parsed !== null && 'operators' in parsed ? parsed.operators : undefined
  if (!Array.isArray(operators) || operators.length === 0) throw invalid(path, 'COALESCE needs a list of operators')
  return operators.map((one: unknown, i): Coalesced => {
    if (typeof one === 'string') return one
    if (typeof one === 'object' && one !== null && 'command' in one && typeof one.command === 'string') {
      const param = 'param' in one && typeof one.param === 'string' ? { param: one.param } : {}
      const length = 'max_length' in one && Number.isInteger(one.max_length) ? { max_length: Number(one.max_length) } : {}
      return { command: one.command, ...param, ...length }
    }
    throw invalid(path, `COALESCE's operators[${i}] is neither a name nor an object with a command`)
  })
}

function time(read: (context: FormatContext) => number, zone: 'utc' | 'local'): OperatorKind {
  return (argument) => {
    const format = compileTimeFormat(argument, zone)
    return (context) => format(read(context))
  }
}

const start = ({ info }: FormatContext) => info.startTimeMs
const now = () => wallTime(performance.now())

/** Hosts that were tried, each once, the last one last; for requests those alone to which there was a connection. */
function attempted(read: (host: { key: string; hostname: string }) => string): Operator {
  return ({ info, request }) => {
    const all = (info.earlierAttempts ?? []).filter(({ reached }) => reached).map(({ endpoint }) => endpoint)
    if (info.upstreamEndpoint !== null && (request === null || info.reachedUpstream)) all.push(info.upstreamEndpoint)
    const texts = all.map(read)
    return texts.length === 0 ? null : [...new Set(texts)].join(',')
  }
}

function withoutPort(key: string): string {
  return key.replace(/:\d+$/, '')
}

const kinds: Readonly<Record<string, OperatorKind>> = {
  ...headerOperators,
  ...metadataOperators,
  ...durationOperators,
  ...addressOperators,
  ...tlsOperators,
  ...wireOperators,
  START_TIME: time(start, 'utc'),
  START_TIME_LOCAL: time(start, 'local'),
  EMIT_TIME: time(now, 'utc'),
  EMIT_TIME_LOCAL: time(now, 'local'),
  GRPC_STATUS: grpcStatusOperator,
  COALESCE: coalesce,
  CEL: (argument, path) => {
    const evaluate = compileText(argument, path)
    return (context) => {
      const text = resultText(evaluate(context))
      return text === null ? null : wireText(text)
    }
  },
  ENVIRONMENT: (argument, path) => {
    if (argument === '') throw invalid(path, 'ENVIRONMENT needs the name of a variable')
    const value = process.env[argument] ?? '-'
    return () => value
  },
  RESPONSE_CODE_DETAILS: (argument) => {
    if (argument === 'ALLOW_WHITESPACES') return ({ info }) => info.responseCodeDetails || null
    return ({ info }) => info.responseCodeDetails.replaceAll(/\s/g, '_') || null
  },
  DOWNSTREAM_CX_RTT: Object.assign(
    () => {
      askForRoundTrips()
      return ({ connection }: FormatContext) => connection.carrier?.roundTripMs ?? null
    },
    { bare: true },
  ),
  ...plain({
    GRPC_STATUS_NUMBER: grpcStatusNumber,
    PROTOCOL: ({ info }) => info.protocol || null,
    // Of a connection that never came to be there is none.
    UPSTREAM_PROTOCOL: ({ info }) => (info.reachedUpstream ? info.upstreamProtocol || null : null),
    RESPONSE_CODE: ({ info }) => info.responseCode,
    CONNECTION_TERMINATION_DETAILS: ({ info }) => info.terminationDetails || null,
    // A value also where there is none: formats that leave out what is empty keep it.
    RESPONSE_FLAGS: ({ info }) => (info.flags.length === 0 ? '-' : info.flags.join(',')),
    RESPONSE_FLAGS_LONG: ({ info }) => (info.flags.length === 0 ? '-' : info.flags.map(longFlag).join(',')),
    ROUTE_NAME: ({ info }) => wireText(info.routeName) || null,
    VIRTUAL_CLUSTER_NAME: ({ info }) => wireText(info.virtualCluster) || null,
    UPSTREAM_HOST: ({ info }) => info.upstreamEndpoint?.key ?? null,
    UPSTREAM_HOST_NAME: ({ info }) => info.upstreamEndpoint?.hostname || info.upstreamEndpoint?.key || null,
    UPSTREAM_HOST_NAME_WITHOUT_PORT: ({ info }) =>
      info.upstreamEndpoint === null ? null : withoutPort(info.upstreamEndpoint.hostname || info.upstreamEndpoint.key),
    UPSTREAM_HOSTS_ATTEMPTED: attempted((host) => host.key),
    UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT: attempted((host) => withoutPort(host.key)),
    UPSTREAM_HOST_NAMES_ATTEMPTED: attempted((host) => host.hostname || host.key),
    UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT: attempted((host) => withoutPort(host.hostname || host.key)),
    UPSTREAM_CONNECTION_IDS_ATTEMPTED: ({ info }) => {
      const ids = (info.earlierAttempts ?? []).map(({ connectionId }) => connectionId).concat(info.upstreamConnection?.id ?? 0)
      return ids.filter((id) => id > 0).join(',') || null
    },
    UPSTREAM_CLUSTER: ({ info }) => wireText(info.clusterStatName || info.clusterName) || null,
    UPSTREAM_CLUSTER_RAW: ({ info }) => wireText(info.clusterName) || null,
    UPSTREAM_REQUEST_ATTEMPT_COUNT: ({ info }) => info.attemptCount,
    UPSTREAM_CONNECTION_ID: ({ info }) => info.upstreamConnection?.id ?? null,
    UPSTREAM_TRANSPORT_FAILURE_REASON: ({ info }) => info.upstreamFailure.replaceAll(' ', '_') || null,
    DOWNSTREAM_TRANSPORT_FAILURE_REASON: ({ info }) => info.downstreamFailure.replaceAll(' ', '_') || null,
    // A request is logged while its connections stand: how they will end is not known.
    UPSTREAM_DETECTED_CLOSE_TYPE: ({ info }) => info.sessionEnd?.upstream ?? (info.upstreamConnection === null ? null : 'Normal'),
    UPSTREAM_LOCAL_CLOSE_REASON: ({ info }) => info.sessionEnd?.upstreamReason || null,
    DOWNSTREAM_DETECTED_CLOSE_TYPE: ({ info }) => info.sessionEnd?.downstream ?? 'Normal',
    DOWNSTREAM_LOCAL_CLOSE_REASON: ({ info }) => info.localCloseReason || null,
    CONNECTION_ID: ({ connection }) => connection.id,
    STREAM_ID: ({ info, request }) => request?.headers.get(requestId) ?? info.streamId,
    HOSTNAME: () => local,
    LISTENER_NAME: ({ connection }) => connection.listenerName || null,
    ROUTE_RESOLUTION_COUNT: () => 0,
    LOCAL_REPLY_BODY: ({ info }) => info.localReplyBody,
    FILTER_CHAIN_NAME: ({ info }) => wireText(info.filterChain) || null,
    TRACE_ID: ({ trace, request }) => trace?.traceId ?? request?.headers.get(traceparent)?.split('-')[1] ?? null,
    SPAN_ID: ({ trace }) => trace?.spanId ?? null,
    UNIQUE_ID: () => crypto.randomUUID(),
    CUSTOM_FLAGS: () => '',
    ACCESS_LOG_TYPE: logTypeOf,
  }),
}
