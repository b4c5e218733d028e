import { readDocuments } from '@weft/config/document'
import { readObject } from '@weft/config/read-object'
import { array, type Json, type JsonObject, object, optionalArray, optionalObject, readCases, text } from '../read.ts'
import type { CaseResult } from '../suite.ts'

/** What came of an object: the errors and warnings of reading it, as `weft apply` tells them. */
interface Verdict {
  errors: string[]
  warnings: string[]
}

interface Subject {
  kind: string
  spec: JsonObject
  name?: string
  namespace?: string
  annotations?: JsonObject
}

const host = 'foo.bar.com'

/**
 * Istio's own cases of validation. Each input is put into a whole object (a fragment where it belongs in one) and read
 * as any document is.
 */
export function istioValidation(dir: string): CaseResult[] {
  const content = readCases(dir, 'istio-validation.json')
  return array(content['cases'], 'cases').map((entry) => runCase(object(entry, 'case')))
}

function runCase(entry: JsonObject): CaseResult {
  const test = text(entry['test'], 'test')
  const name = `${test} ${entry['kind'] === '' ? '' : `${String(entry['kind'])} `}"${String(entry['name'] ?? JSON.stringify(entry['input']))}" #${String(entry['index'])}`
  const expect = optionalObject(entry['expect'], 'expect')
  const valid = expect['valid'] === true
  const part = typeof expect['error_contains'] === 'string' ? expect['error_contains'] : ''
  const warned = expect['warning'] === true || (typeof expect['warning'] === 'string' && expect['warning'] !== '')
  const verdict = read(subjectOf(entry, test))
  if (verdict === undefined) return { name, passed: false, expected: expect, actual: 'this kind is not read' }
  const said = verdict.errors.join('\n').toLowerCase().replaceAll('_', '')
  const passed =
    (verdict.errors.length === 0) === valid &&
    (valid || said.includes(part.toLowerCase().replaceAll('_', ''))) &&
    (!warned || verdict.warnings.length > 0)
  return { name, passed, expected: expect, actual: verdict }
}

function read({ kind, spec, name, namespace, annotations }: Subject): Verdict | undefined {
  const group =
    kind === 'Telemetry'
      ? 'telemetry.istio.io'
      : ['WasmPlugin', 'TrafficExtension'].includes(kind)
        ? 'extensions.istio.io'
        : /Authentication$|^Authorization/.test(kind)
          ? 'security.istio.io'
          : 'networking.istio.io'
  const metadata = {
    name: name ?? 'case',
    namespace: namespace ?? 'default',
    ...(annotations === undefined ? {} : { annotations }),
  }
  const document = JSON.stringify({ apiVersion: `${group}/v1`, kind, metadata, spec })
  const { documents, problems } = readDocuments(document, 'case')
  const readings = documents.map(readObject)
  if (readings.some(({ type }) => type === 'ignored')) return undefined
  const found = [...problems, ...readings.flatMap((reading) => reading.problems)]
  const of = (severity: string): string[] =>
    found.filter((problem) => problem.severity === severity).map(({ path, message }) => `${path ?? ''}: ${message}`)
  return { errors: of('error'), warnings: of('warning') }
}

/** The whole object of a case. */
function subjectOf(entry: JsonObject, test: string): Subject {
  const kind = text(entry['kind'], 'kind')
  const given = entry['in']
  switch (kind) {
    case '':
      return byTest(entry, test)
    case 'HTTPRoute':
      return virtualService(entry['route'], test === 'TestValidateDelegateHTTPRoute')
    case 'HTTPRoute fragment':
      return virtualService(entry['route'])
    case 'Destination':
      return virtualService({ route: [{ destination: entry['destination'] ?? {} }] })
    case 'HTTPDirectResponse':
      return virtualService({ directResponse: entry['directResponse'] ?? {} })
    case 'HTTPRedirect':
      return virtualService({ redirect: entry['redirect'] ?? {} })
    case 'HTTPRewrite':
      return routed({ rewrite: given ?? {} })
    case 'RegexRewrite':
      return routed({ rewrite: { uriRegexRewrite: given ?? {} } })
    case 'HTTPRetry':
      return routed({ retries: given ?? {} })
    case 'CorsPolicy':
      return routed({ corsPolicy: given ?? {} })
    case 'HTTPFaultInjection_Abort':
      return routed({ fault: { abort: given ?? {} } })
    case 'VirtualService(delegate)':
      return { kind: 'VirtualService', spec: optionalObject(given, 'in') }
    case 'ConnectionPoolSettings':
      return policy({ connectionPool: given ?? {} })
    case 'LoadBalancerSettings':
      return policy({ loadBalancer: given ?? {} })
    case 'OutlierDetection':
      return policy({ outlierDetection: given ?? {} })
    case 'TrafficPolicy':
      return policy(optionalObject(given, 'in'))
    case 'Port':
      return server({ port: given ?? {}, hosts: [host], ...(entry['bind'] ? { bind: entry['bind'] } : {}) })
    case 'Server fragment':
      return server(optionalObject(given, 'in'))
    case 'ServerTLSSettings':
      return server({ port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: [host], tls: given ?? {} })
    case 'AccessLogging_Filter':
      return { kind: 'Telemetry', spec: { accessLogging: [{ filter: entry['filter'] ?? {} }] } }
    default: {
      const named = typeof entry['configName'] === 'string' ? { name: entry['configName'] } : {}
      const annotated =
        entry['annotations'] === undefined ? {} : { annotations: optionalObject(entry['annotations'], 'annotations') }
      return { kind, spec: optionalObject(given, 'in'), ...named, ...annotated }
    }
  }
}

/** Cases of functions of Istio, without a kind. */
function byTest(entry: JsonObject, test: string): Subject {
  const name = typeof entry['name'] === 'string' ? entry['name'] : ''
  switch (test) {
    case 'TestStrictValidateHTTPHeaderName':
      return routed({ headers: { request: { remove: [name] } } })
    case 'TestValidateHTTPHeaderName':
      return routed({ headers: { request: { set: { [name]: 'value' } } } })
    case 'TestValidateHTTPHeaderValue':
      return routed({ headers: { request: { set: { name: entry['input'] ?? '' } } } })
    case 'TestValidateHTTPStatus':
      return routed({ fault: { abort: { httpStatus: entry['in'] ?? 0 } } })
    case 'TestValidateHTTPFaultInjectionDelay':
      return routed({ fault: { delay: entry['in'] ?? null, abort: { httpStatus: 500 } } })
    case 'TestValidateHTTPRewrite':
      return routed({ rewrite: entry['in'] ?? null })
    case 'TestValidatePortName':
      return { kind: 'ServiceEntry', spec: { hosts: [host], ports: [{ number: 80, name, protocol: 'HTTP' }], resolution: 'DNS' } }
    case 'TestValidateRouteDestination':
      return { kind: 'VirtualService', spec: { hosts: [host], tcp: [{ route: optionalArray(entry['routes'], 'routes') }] } }
    default: {
      const exportTo = optionalArray(entry['exportTo'], 'exportTo')
      const namespace = text(entry['namespace'], 'namespace')
      if (entry['isServiceEntry'] === true) {
        const ports = [{ number: 80, name: 'http', protocol: 'HTTP' }]
        return { kind: 'ServiceEntry', namespace, spec: { hosts: [host], ports, resolution: 'DNS', exportTo } }
      }
      const selected = entry['isDestinationRuleWithSelector'] === true
      const selector: JsonObject = selected ? { workloadSelector: { matchLabels: { app: 'a' } } } : {}
      return { kind: 'DestinationRule', namespace, spec: { host, exportTo, ...selector } }
    }
  }
}

function virtualService(route: Json | undefined, delegate = false): Subject {
  return { kind: 'VirtualService', spec: { ...(delegate ? {} : { hosts: [host] }), http: [route ?? {}] } }
}

/** A route that is whole without the part in question. */
function routed(part: JsonObject): Subject {
  return virtualService({ route: [{ destination: { host: 'foo.baz' } }], ...part })
}

function policy(trafficPolicy: JsonObject): Subject {
  return { kind: 'DestinationRule', spec: { host: 'reviews', trafficPolicy } }
}

function server(part: JsonObject): Subject {
  return { kind: 'Gateway', spec: { servers: [part] } }
}
