import { isRecord } from '@weft/config/document'
import { parsePath } from '@weft/config/path'
import { WeftError } from '@weft/service/errors'
import { type Document, isNode, LineCounter, parseAllDocuments, visit } from 'yaml'
import { decide } from './decide.ts'
import { injectPod } from './inject.ts'
import { jsonPatch } from './json-patch.ts'
import { readPod } from './pod.ts'
import type { InjectionSettings } from './settings.ts'
import { workloadOf } from './workload.ts'

export interface InjectedDocuments {
  /** The text with the workloads injected; what was not touched, comments included, is as it was. */
  text: string
  /** How many workloads were injected. */
  injected: number
  /** Workloads that were left alone, and why. */
  skipped: string[]
}

type Path = readonly (string | number)[]

/** Where each kind has its pod, by API group and kind. */
const podPaths: Readonly<Record<string, Path>> = {
  '/Pod': [],
  '/ReplicationController': ['spec', 'template'],
  '/PodTemplate': ['template'],
  'apps/Deployment': ['spec', 'template'],
  'apps/StatefulSet': ['spec', 'template'],
  'apps/DaemonSet': ['spec', 'template'],
  'apps/ReplicaSet': ['spec', 'template'],
  'batch/Job': ['spec', 'template'],
  'batch/CronJob': ['spec', 'jobTemplate', 'spec', 'template'],
  '/DeploymentConfig': ['spec', 'template'],
  'apps.openshift.io/DeploymentConfig': ['spec', 'template'],
  'argoproj.io/Rollout': ['spec', 'template'],
}

/** A list of lists of lists is nobody's. */
const mostListDepth = 8

/**
 * Injects all workloads of a YAML or JSON text, as the webhook would when their pods are made. Objects of other kinds pass
 * unchanged. Throws `invalid_argument` with file and line for broken YAML and for what can't be followed.
 */
export function injectDocuments(text: string, file: string, settings: InjectionSettings): InjectedDocuments {
  const lines = new LineCounter()
  const result: InjectedDocuments = { text, injected: 0, skipped: [] }
  const parts: string[] = []
  let start = 0
  let changed = false
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: true })
  for (const document of Array.isArray(parsed) ? parsed : []) {
    const [error] = document.errors
    if (error !== undefined) {
      const line = lines.linePos(error.pos[0]).line
      throw new WeftError('invalid_argument', `broken YAML: ${error.message}`, { where: { file, line } })
    }
    const value = plainValue(document, file)
    const place: Place = { document, file, lines, settings, result, changed: false }
    if (isRecord(value)) injectObject(place, value, [], 0)
    changed ||= place.changed
    const source = text.slice(start, document.range[2])
    start = document.range[2]
    parts.push(withoutMarker(place.changed ? document.toString({ lineWidth: 0 }) : source))
  }
  if (changed) result.text = parts.filter((part) => part.trim() !== '').join('---\n')
  return result
}

function plainValue(document: Document, file: string): unknown {
  // A value that stands in several places is changed in one: aliases are written out first.
  let aliases = false
  visit(document, {
    Alias() {
      aliases = true
      return visit.BREAK
    },
  })
  try {
    const value: unknown = document.toJS({ maxAliasCount: 100 })
    if (aliases) document.contents = document.createNode(value, { aliasDuplicateObjects: false })
    return value
  } catch (thrown) {
    throw new WeftError('invalid_argument', `broken YAML: ${WeftError.from(thrown).message}`, { where: { file, line: 1 } })
  }
}

interface Place {
  document: Document
  file: string
  lines: LineCounter
  settings: InjectionSettings
  result: InjectedDocuments
  /** Whether the document is another than it was. */
  changed: boolean
}

function injectObject(place: Place, object: Record<string, unknown>, base: Path, depth: number): void {
  const { apiVersion, kind } = object
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return
  if (kind === 'List' && apiVersion === 'v1' && Array.isArray(object['items']) && depth < mostListDepth) {
    for (const [index, item] of object['items'].entries()) {
      if (isRecord(item)) injectObject(place, item, [...base, 'items', index], depth + 1)
    }
    return
  }
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
  const path = Object.hasOwn(podPaths, `${group}/${kind}`) ? podPaths[`${group}/${kind}`] : undefined
  if (path === undefined) return
  const at = [...base, ...path]
  try {
    injectWorkload(place, object, path, at)
  } catch (thrown) {
    const error = WeftError.from(thrown)
    const where = { file: place.file, line: lineOf(place, [...at, ...parsePath(error.where?.path ?? '')]) }
    throw new WeftError(error.code, error.message, { where, hint: error.hint, cause: thrown })
  }
}

function injectWorkload(place: Place, object: Record<string, unknown>, path: Path, at: Path): void {
  const { document, settings, result } = place
  const template = path.reduce<unknown>((value, key) => (isRecord(value) ? value[key] : undefined), object)
  const pod = readPod(template)
  const metadata = isRecord(object['metadata']) ? object['metadata'] : {}
  const own = (name: string): string => (typeof metadata[name] === 'string' ? metadata[name] : '')
  const namespace = pod.metadata.namespace ?? own('namespace')
  const [apiVersion, kind] = [String(object['apiVersion']), String(object['kind'])]
  const workload = path.length === 0 ? workloadOf(pod) : { name: own('name'), namespace: own('namespace'), apiVersion, kind }
  const decision = decide(pod, namespace, settings)
  if (!decision.inject) {
    result.skipped.push(`${kind} ${namespace === '' ? '' : `${namespace}/`}${own('name')} is not injected: ${decision.reason}`)
    return
  }
  const injected = injectPod({ pod, workload, settings })
  for (const operation of jsonPatch(template, injected)) {
    place.changed = true
    const pointer = operation.path.split('/').slice(1)
    const target = [...at, ...pointer.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))]
    if (operation.op === 'remove') document.deleteIn(target)
    else document.setIn(target, document.createNode(operation.value, { aliasDuplicateObjects: false }))
  }
  result.injected++
}

/** The line of a path in the document, or of its nearest parent that is there. */
function lineOf({ document, lines }: Place, path: Path): number {
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = length === 0 ? document.contents : document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
  }
  return 1
}

function withoutMarker(text: string): string {
  const body = text.replace(/^\s*---[ \t]*(\n|$)/, '')
  return body.endsWith('\n') || body === '' ? body : `${body}\n`
}
