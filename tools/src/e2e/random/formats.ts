import type { Choice } from './choice.ts'

/** Format operators that hang neither on time nor on addresses that nobody chose. */
const operators = [
  '%PROTOCOL%',
  '%REQ(x-a)%',
  '%REQ(X-B):3%',
  '%REQ(x-none?x-a)%',
  '%REQ(:path)%',
  '%REQ(:path):4%',
  '%REQ(:authority)%',
  '%REQ(:method)%',
  '%REQ(:scheme)%',
  '%REQ(x-forwarded-for)%',
  '%REQ(x-forwarded-proto)%',
  '%REQ(x-envoy-original-path?:path)%',
  '%REQ(content-length)%',
  '%REQ(cookie)%',
  '%REQ(x-envoy-attempt-count)%',
  '%REQ(x-envoy-internal)%',
  '%REQ(user-agent)%',
  '%PATH(NQ:ORIG)%',
  '%PATH(WQ:PATH)%',
  '%PATH(NQ)%',
  '%QUERY_PARAM(q)%',
  '%QUERY_PARAM(r):2%',
  '%QUERY_PARAMS(ORIG)%',
  '%RESP(x-r)%',
  '%RESP(content-length)%',
  '%RESP(content-type)%',
  '%RESP(location)%',
  '%RESP(server)%',
  '%RESP(:status)%',
  '%TRAILER(x-t)%',
  '%RESPONSE_CODE%',
  '%RESPONSE_FLAGS%',
  '%RESPONSE_FLAGS_LONG%',
  '%RESPONSE_CODE_DETAILS%',
  '%CONNECTION_TERMINATION_DETAILS%',
  '%BYTES_RECEIVED%',
  '%BYTES_SENT%',
  '%UPSTREAM_CLUSTER%',
  '%UPSTREAM_CLUSTER_RAW%',
  '%UPSTREAM_HOST%',
  '%UPSTREAM_HOST_NAME%',
  '%UPSTREAM_PROTOCOL%',
  '%UPSTREAM_REMOTE_ADDRESS%',
  '%UPSTREAM_REMOTE_PORT%',
  '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
  '%UPSTREAM_HOSTS_ATTEMPTED%',
  '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  '%ROUTE_NAME%',
  '%VIRTUAL_CLUSTER_NAME%',
  '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
  '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%',
  '%DOWNSTREAM_LOCAL_ADDRESS%',
  '%DOWNSTREAM_LOCAL_PORT%',
  '%DOWNSTREAM_DIRECT_LOCAL_ADDRESS%',
  '%REQUESTED_SERVER_NAME%',
  '%FILTER_CHAIN_NAME%',
  '%ACCESS_LOG_TYPE%',
  '%GRPC_STATUS%',
  '%GRPC_STATUS(SNAKE_STRING)%',
  '%GRPC_STATUS_NUMBER%',
  '%DYNAMIC_METADATA(ns:k)%',
  '%DYNAMIC_METADATA(ns)%',
  '%DYNAMIC_METADATA(ns:deep:k)%',
  '%CLUSTER_METADATA(ns:k)%',
  '%UPSTREAM_METADATA(ns:k)%',
  '%METADATA(ROUTE:ns:k)%',
  '%METADATA(VIRTUAL_HOST:ns:k)%',
  '%METADATA(CLUSTER:ns:k)%',
  '%METADATA(LISTENER:ns:k)%',
  '%METADATA(UPSTREAM_HOST:ns:k)%',
  '%METADATA(DYNAMIC:ns:m)%',
  '%FILTER_STATE(state:PLAIN)%',
  '%FILTER_STATE(state)%',
  '%LISTENER_NAME%',
  '%COALESCE({"operators":[{"command":"REQ","param":"x-none"},{"command":"REQ","param":"x-b"}]})%',
  '%CEL(request.path)%',
  '%CEL(request.headers["x-a"])%',
  '%CEL(response.code)%',
  '%CEL(request.query)%',
  '%CEL(size(request.headers) > 3)%',
] as const

/** Those that are only known behind an answer, and of no use in what goes upstream. */
const logOperators = [
  '%LOCAL_REPLY_BODY%',
  '%REQUEST_HEADERS_BYTES%',
  '%RESPONSE_TRAILERS_BYTES%',
  '%UPSTREAM_WIRE_BYTES_SENT%',
  '%DOWNSTREAM_DETECTED_CLOSE_TYPE%',
  '%DOWNSTREAM_TRANSPORT_FAILURE_REASON%',
] as const

/** A header's value: text, operators, or both. */
export function headerValue(choice: Choice): string {
  if (choice.chance(40)) return choice.pick(['new', 'other', 'a b', '1', '100%%', ''])
  if (choice.chance(70)) return choice.pick(operators)
  return `<${choice.pick(operators)}|${choice.pick(operators)}>`
}

/** The operators of a listener's access log. */
export function logOperatorsOf(choice: Choice): string[] {
  const one = (): string => (choice.chance(15) ? choice.pick(logOperators) : choice.pick(operators))
  return [...new Set(choice.many(8, 16, one))]
}

/** Between a log line's operators. */
export const logSeparator = ' | '
