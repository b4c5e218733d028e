import { parseConfigDocument } from '@weft/proxy/bootstrap/document'
import { checkedResource } from '@weft/proxy/control/resource'
import { decodeDocuments } from '@weft/proxy/control/validation/decode'
import { Stats } from '@weft/proxy/observe/stats'
import { ExtensionStore } from '@weft/proxy/plan/extension-store'
import { compileFilterConfigs } from '@weft/proxy/plan/filter-configs'
import { Runtime } from '@weft/proxy/plan/runtime'
import { SecretStore } from '@weft/proxy/plan/secret-store'
import { decodeRouteTable, type RouteTable } from '@weft/proxy/routing/route-table'

/** A message of YAML or JSON, in binary; throws what the proxy would refuse it with. */
export function decodedJson(type: string, yaml: string): Uint8Array {
  return decodeDocuments(type, [parseConfigDocument(yaml)])
}

/** A RouteConfiguration in YAML or JSON, checked and compiled as the proxy does; throws what the proxy would refuse it with. */
export function routeTableOf(yaml: string, runtime = new Runtime()): RouteTable {
  const bytes = decodedJson('envoy.config.route.v3.RouteConfiguration', yaml)
  checkedResource('route', '', '', bytes)
  const context = {
    stats: new Stats(null),
    runtime,
    secrets: new SecretStore(),
    services: null,
    extensions: new ExtensionStore(),
    logFiles: null,
    direction: 'unspecified' as const,
  }
  return decodeRouteTable(bytes, runtime, compileFilterConfigs(context))
}
