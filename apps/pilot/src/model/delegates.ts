import type { TypedObject } from '@weft/config/objects'
import { objectKey } from '@weft/config/objects'
import type { HTTPMatchRequest, HTTPRoute, StringMatch } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'

type VirtualServiceObject = TypedObject<'VirtualService'>

/**
 * Puts the routes of delegates (VirtualServices without hosts) in the place of the routes that name them, and leaves
 * the delegates out. A delegate narrows what its root matches; a route of it that contradicts the root falls away
 * (Istio, VirtualService `Delegate`). One level deep, as there.
 */
export function mergeDelegates(objects: readonly VirtualServiceObject[]): VirtualServiceObject[] {
  const delegates = new Map<string, VirtualServiceObject>()
  for (const object of objects) {
    const { namespace, name } = object.metadata
    if (object.spec.hosts.length === 0) delegates.set(objectKey('VirtualService', namespace, name), object)
  }
  return objects.flatMap((object) => {
    if (object.spec.hosts.length === 0) return []
    if (object.spec.http.every(({ delegate }) => delegate === undefined)) return [object]
    const used: string[] = []
    const http = object.spec.http.flatMap((route) => {
      if (route.delegate === undefined) return [route]
      const key = objectKey('VirtualService', route.delegate.namespace || object.metadata.namespace, route.delegate.name)
      const delegate = delegates.get(key)
      if (delegate === undefined) return []
      used.push(delegate.version)
      return delegate.spec.http.flatMap((inner) => mergeRoute(route, inner) ?? [])
    })
    return [{ ...object, version: [object.version, ...used].join('+'), spec: { ...object.spec, http } }]
  })
}

function mergeRoute(root: HTTPRoute, inner: HTTPRoute): HTTPRoute | undefined {
  const match = mergeMatches(root.match, inner.match)
  if (match === undefined) return undefined
  return {
    ...inner,
    name: [root.name, inner.name].filter((name) => name !== '').join('-'),
    match,
    rewrite: inner.rewrite ?? root.rewrite,
    timeout: inner.timeout ?? root.timeout,
    retries: inner.retries ?? root.retries,
    fault: inner.fault ?? root.fault,
    mirror: inner.mirror ?? root.mirror,
    mirrors: inner.mirrors.length > 0 ? inner.mirrors : root.mirrors,
    mirrorPercentage: inner.mirrorPercentage ?? root.mirrorPercentage,
    corsPolicy: inner.corsPolicy ?? root.corsPolicy,
    headers: inner.headers ?? root.headers,
    redirect: inner.redirect,
    directResponse: inner.directResponse,
    delegate: undefined,
  }
}

/** Every pair of a root's and a delegate's match that does not contradict itself; undefined when all do. */
function mergeMatches(root: HTTPMatchRequest[], inner: HTTPMatchRequest[]): HTTPMatchRequest[] | undefined {
  if (root.length === 0) return inner
  if (inner.length === 0) return root
  const merged = root.flatMap((outer) => inner.filter((leaf) => !contradicts(outer, leaf)).map((leaf) => mergeMatch(outer, leaf)))
  return merged.length === 0 ? undefined : merged
}

function mergeMatch(root: HTTPMatchRequest, leaf: HTTPMatchRequest): HTTPMatchRequest {
  return {
    ...leaf,
    name: [root.name, leaf.name].filter((name) => name !== '').join('-'),
    uri: leaf.uri ?? root.uri,
    scheme: leaf.scheme ?? root.scheme,
    method: leaf.method ?? root.method,
    authority: leaf.authority ?? root.authority,
    headers: { ...root.headers, ...leaf.headers },
    withoutHeaders: { ...root.withoutHeaders, ...leaf.withoutHeaders },
    queryParams: { ...root.queryParams, ...leaf.queryParams },
    port: leaf.port || root.port,
    sourceLabels: { ...root.sourceLabels, ...leaf.sourceLabels },
    sourceNamespace: leaf.sourceNamespace || root.sourceNamespace,
    gateways: leaf.gateways.length > 0 ? leaf.gateways : root.gateways,
    statPrefix: leaf.statPrefix || root.statPrefix,
  }
}

function contradicts(root: HTTPMatchRequest, leaf: HTTPMatchRequest): boolean {
  const maps = ['headers', 'withoutHeaders', 'queryParams'] as const
  return (
    textContradicts(root.uri, leaf.uri) ||
    textContradicts(root.scheme, leaf.scheme) ||
    textContradicts(root.method, leaf.method) ||
    textContradicts(root.authority, leaf.authority) ||
    maps.some((map) => Object.entries(leaf[map]).some(([key, match]) => textContradicts(root[map][key], match))) ||
    root.ignoreUriCase !== leaf.ignoreUriCase ||
    (root.port > 0 && leaf.port > 0 && root.port !== leaf.port) ||
    (root.sourceNamespace !== '' && leaf.sourceNamespace !== '' && root.sourceNamespace !== leaf.sourceNamespace) ||
    Object.entries(leaf.sourceLabels).some(([key, value]) => (root.sourceLabels[key] ?? value) !== value)
  )
}

/** A leaf may only narrow: an exact text the same, a prefix longer; regular expressions cannot be compared. */
function textContradicts(root: StringMatch | undefined, leaf: StringMatch | undefined): boolean {
  const outer = root?.matchType
  const inner = leaf?.matchType
  if (outer === undefined || inner === undefined) return false
  if (outer.$case === 'regex' || inner.$case === 'regex') return true
  if (outer.$case === 'exact') return inner.$case !== 'exact' || inner.value !== outer.value
  return !inner.value.startsWith(outer.value)
}
