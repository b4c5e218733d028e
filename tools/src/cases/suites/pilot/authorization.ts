import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { fromBinary, fromJson, type JsonValue, toJson } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import { Filter } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { HttpFilter } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { workloadSecurity } from '@weft/pilot/build/security/workload-security'
import { readExtensionProviders } from '@weft/pilot/model/extension-providers'
import { defaultMeshSettings } from '@weft/pilot/model/mesh-settings'
import { parseNode } from '@weft/pilot/scope/parse-node'
import { scopeOf } from '@weft/pilot/scope/scope-of'
import { snapshotOf } from '@weft/pilot/testing/snapshot-of'
import { parse } from 'yaml'
import { array, type Json, type JsonObject, object, optionalObject, text } from '../../read.ts'
import { type CaseResult, CasesAbsent } from '../../suite.ts'

const filterTypes = {
  http: 'envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter',
  tcp: 'envoy.config.listener.v3.Filter',
} as const

/** AuthorizationPolicies of a workload (namespace foo, app httpbin, version v1) → the filters that Envoy is given. */
export function istioAuthz(dir: string): CaseResult[] {
  const folder = join(dir, 'istio-authz')
  if (!existsSync(folder)) throw new CasesAbsent(`${folder} is not there`)
  const index = object(JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')), 'index.json')
  const meshConfigs = new Map(
    array(index['mesh_configs'], 'mesh_configs').map((value): [string, JsonObject] => {
      const entry = object(value, 'mesh_configs')
      return [text(entry['var'], 'var'), object(entry['value'], 'value')]
    }),
  )
  return array(index['cases'], 'cases').map((value) => play(object(value, 'case'), folder, meshConfigs))
}

function play(testCase: JsonObject, folder: string, meshConfigs: ReadonlyMap<string, JsonObject>): CaseResult {
  const kind = text(testCase['test'], 'test').endsWith('TCP') ? 'tcp' : 'http'
  const read = (file: Json | undefined): string => readFileSync(join(folder, kind, text(file, 'file')), 'utf8')
  const name = `${kind}/${text(testCase['name'], 'name')}`
  const config = meshConfigs.get(String(optionalObject(testCase['meshConfig'], 'meshConfig')['$ident'] ?? ''))
  const providers: Json[] = config === undefined ? [] : array(inJson(config['ExtensionProviders']), 'ExtensionProviders')
  const expected = array(testCase['want'], 'want').map((file) => canonical(filterTypes[kind], readYaml(read(file))))
  try {
    const mesh = { ...defaultMeshSettings, extensionProviders: readExtensionProviders(providers) }
    const node = parseNode({
      id: 'sidecar~10.0.0.1~httpbin.foo~foo.svc.cluster.local',
      metadata: { NAMESPACE: 'foo', LABELS: { app: 'httpbin', version: 'v1' } },
      locality: undefined,
    })
    const yaml = [read(testCase['input']), ...providers.map(serviceOf)].filter((part) => part !== '').join('\n---\n')
    const security = workloadSecurity(scopeOf(snapshotOf(yaml, mesh), node))
    const bytes =
      kind === 'http'
        ? security.http().map((filter) => HttpFilter.encode(filter).finish())
        : security.tcp().map((filter) => Filter.encode(filter).finish())
    const actual = bytes.map((one) => toJson(schema(filterTypes[kind]), fromBinary(schema(filterTypes[kind]), one), { registry }))
    return { name, passed: isDeepStrictEqual(actual, expected), expected, actual }
  } catch (thrown) {
    return { name, passed: false, expected, actual: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}

const registry = descriptors()

function readYaml(yaml: string): JsonValue {
  const value: JsonValue = parse(yaml)
  return value
}

function schema(typeName: string) {
  const found = registry.getMessage(typeName)
  if (found === undefined) throw new Error(`no message ${typeName}`)
  return found
}

function canonical(typeName: string, value: JsonValue): JsonValue {
  return toJson(schema(typeName), fromJson(schema(typeName), value, { registry }), { registry })
}

/** Go's fields as MeshConfig has them: names in lower case at the start, durations as text, `Provider` unfolded. */
function inJson(value: Json | undefined): Json {
  if (Array.isArray(value)) return value.map(inJson)
  if (typeof value !== 'object' || value === null) return value ?? null
  const fields = Object.entries(value).flatMap(([name, inner]): [string, Json][] => {
    if (name === 'Provider') return Object.entries(object(inJson(inner), name))
    if (name !== 'Timeout') return [[name.charAt(0).toLowerCase() + name.slice(1), inJson(inner)]]
    const { Seconds = 0, Nanos = 0 } = object(inner, name)
    return [['timeout', `${Number(Seconds) + Number(Nanos) / 1e9}s`]]
  })
  return Object.fromEntries(fields)
}

/** The service of a provider, where the case gives it a whole name: the cases' mesh has it. */
function serviceOf(provider: Json): string {
  const { envoyExtAuthzGrpc, envoyExtAuthzHttp } = object(provider, 'provider')
  const settings = object(envoyExtAuthzGrpc ?? envoyExtAuthzHttp, 'settings')
  const host = text(settings['service'], 'service').replace(/^.*\//, '')
  const [name, namespace] = host.split('.')
  if (namespace === undefined) return ''
  const ports = `[{ number: ${String(settings['port'])}, name: http, protocol: HTTP }]`
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: ${namespace} }
spec: { hosts: [${host}], ports: ${ports}, resolution: STATIC }`
}
