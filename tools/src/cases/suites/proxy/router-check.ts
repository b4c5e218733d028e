import { HeaderMatcher } from '@weft/contracts/envoy/config/route/v3/route_components'
import { headerName } from '@weft/http/header-name'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import { FakeStream } from '@weft/proxy/filters/http/fake-stream'
import { finishRequestHead } from '@weft/proxy/filters/http/router/request-head'
import { localReplyBody } from '@weft/proxy/filters/network/http-connection-manager/local-reply'
import { compileHeaderMatcher } from '@weft/proxy/routing/matchers/header-matcher'
import { selectCluster } from '@weft/proxy/routing/route-action'
import type { RoutePlan } from '@weft/proxy/routing/route-table'
import { array, type Json, type JsonObject, object, optionalArray, readCases, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { decodedJson, routeTableOf } from './route-resource.ts'

/** Envoy's router check tool's cases: what a route configuration makes of a request. */
export function envoyRouterCheck(dir: string): CaseResult[] {
  const file = readCases(dir, 'envoy-router-check.json')
  const configurations = object(file['route_configs'], 'route_configs')
  return array(file['cases'], 'cases').map((value) => {
    const one = object(value, 'case')
    const name = text(one['id'], 'id')
    const wanted = object(one['validate'], 'validate')
    const matches = one['expect'] !== 'mismatch'
    try {
      const configuration = configurations[text(one['route_config'], 'route_config')]
      const actual = route(JSON.stringify(configuration ?? {}), object(one['input'], 'input'), wanted)
      const same = Object.keys(actual).every((key) => JSON.stringify(actual[key]) === JSON.stringify(asked(wanted, key)))
      return { name, passed: same === matches, expected: matches ? wanted : { not: wanted }, actual }
    } catch (thrown) {
      return { name, passed: false, expected: wanted, actual: thrown instanceof Error ? thrown.message : String(thrown) }
    }
  })
}

/** Header matches are asked to hold; all else to be what it says. */
function asked(wanted: JsonObject, key: string): Json | undefined {
  return key.endsWith('_header_matches') ? true : wanted[key]
}

/** What becomes of the request, of that which `wanted` asks for. */
function route(configuration: string, input: JsonObject, wanted: JsonObject): JsonObject {
  const table = routeTableOf(configuration)
  const stream = streamOf(input)
  const { request, response } = stream
  const random = typeof input['random_value'] === 'number' ? input['random_value'] : 0
  // The tool draws so that a share of n in 100 takes 0 … n, and none where the case does not name the runtime key.
  const draw = input['runtime'] === undefined ? 1 : ((random % 100) - 1) / 100
  const plan = table.match(request, Object.assign(stream, { internal: input['internal'] === true }), draw)
  const forward = plan?.outcome.type === 'forward' ? plan.outcome.forward : null
  const total = forward?.cluster.type === 'weighted' ? forward.cluster.total : 1
  const choice = forward === null ? null : selectCluster(forward.cluster, request, (random % total) / total)
  const cluster = plan?.host.virtualClusters?.find((one) => one.matches(request))
  const uri = `${request.scheme}://${request.authority}${request.path}`
  const all: Record<string, () => Json> = {
    cluster_name: () => choice?.name ?? '',
    virtual_host_name: () => (forward === null ? '' : (plan?.virtualHost ?? '')),
    virtual_cluster_name: () => (forward === null || cluster === undefined ? '' : cluster.name || 'other'),
    path_redirect: () => answerOf(plan, stream, uri)?.location ?? '',
    code_redirect: () => answerOf(plan, stream, uri)?.status ?? 0,
    path_rewrite: () => (forward === null ? '' : request.path),
    host_rewrite: () => (forward === null ? '' : request.authority),
    request_header_matches: () => holds(wanted['request_header_matches'], request),
    response_header_matches: () => holds(wanted['response_header_matches'], response),
  }
  const early = ['cluster_name', 'virtual_host_name', 'virtual_cluster_name']
  const seen = new Map(early.map((key) => [key, all[key]?.() ?? null]))
  if (forward !== null && choice !== null && plan !== null) {
    const context = { ...stream.format, request, isGrpcTimed: false }
    finishRequestHead(context, { suppressHeaders: false, respectExpected: false }, forward, choice, plan, null)
    for (const edits of plan.edits) edits.onResponse(stream.format, response.headers)
  } else if (plan?.outcome.type === 'direct') {
    const edit = (): void => plan.edits.forEach((edits) => void edits.onResponse(stream.format, response.headers))
    const { status, body } = plan.outcome
    localReplyBody(response, status, body, { details: 'direct_response', edit }, false, request.method)
  }
  const unknown = Object.keys(wanted).filter((key) => all[key] === undefined)
  if (unknown.length > 0) throw new Error(`the runner does not know ${unknown.join(', ')}`)
  return Object.fromEntries(Object.keys(wanted).map((key) => [key, seen.get(key) ?? all[key]?.() ?? null]))
}

/** How a route answers by itself; null: it sends on, or there is none. */
function answerOf(plan: RoutePlan | null, stream: FakeStream, uri: string): { status: number; location: string } | null {
  switch (plan?.outcome.type) {
    case 'redirect':
      return { status: plan.outcome.redirect.status, location: plan.outcome.redirect.location(stream.request, stream.format) }
    case 'direct':
      return { status: plan.outcome.status, location: uri }
    case 'to-tls':
      return { status: 301, location: `https://${stream.request.authority}${stream.request.path}` }
    default:
      return null
  }
}

function streamOf(input: JsonObject): FakeStream {
  const stream = new FakeStream({
    method: text(input['method'], 'method'),
    path: text(input['path'], 'path'),
    authority: text(input['authority'], 'authority'),
  })
  stream.request.scheme = input['ssl'] === true ? 'https' : 'http'
  for (const value of optionalArray(input['additional_request_headers'], 'headers')) {
    const header = object(value, 'header')
    stream.request.headers.append(headerName(text(header['key'], 'key')), text(header['value'], 'value'))
  }
  for (const value of optionalArray(input['dynamic_metadata'], 'dynamic_metadata')) {
    const entry = object(value, 'metadata')
    const namespace = text(entry['metadata_namespace'], 'metadata_namespace')
    const isThere = Object.hasOwn(stream.metadataOrNull ?? {}, namespace)
    if (!isThere || entry['allow_overwrite'] === true)
      Object.assign(stream.metadata(namespace), object(entry['value'] ?? {}, 'value'))
  }
  return stream
}

function holds(matchers: Json | undefined, head: RequestHead | ResponseHead): boolean {
  return optionalArray(matchers, 'matchers').every((matcher) => {
    const decoded = HeaderMatcher.decode(decodedJson('envoy.config.route.v3.HeaderMatcher', JSON.stringify(matcher)))
    return compileHeaderMatcher(decoded, 'matcher')(head)
  })
}
