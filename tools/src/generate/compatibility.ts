/**
 * `node tools/src/generate/compatibility.ts`: writes the table of supported fields into docs/envoy-compatibility.md, from
 * what the proxy's validators accept. A test fails while page and validators differ.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DescMessage, Registry } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import { fieldSupport, supportsExtension } from '@weft/proxy/control/validation/supported/index'

export const compatibilityPage = join(import.meta.dirname, '../../../docs/envoy-compatibility.md')

const begin = '<!-- fields: written by tools/src/generate/compatibility.ts -->'
const end = '<!-- end of fields -->'

/** What configuration begins with; the rest is reached from there, or is an extension. */
const roots = [
  'envoy.config.bootstrap.v3.Bootstrap',
  'envoy.config.listener.v3.Listener',
  'envoy.config.route.v3.RouteConfiguration',
  'envoy.config.cluster.v3.Cluster',
  'envoy.config.endpoint.v3.ClusterLoadAssignment',
  'envoy.extensions.transport_sockets.tls.v3.Secret',
]

/** The page with its table brought up to date. */
export function withFieldTable(page: string): string {
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from < 0 || to < from) throw new Error(`docs/envoy-compatibility.md has lost its marks: '${begin}' and '${end}'`)
  return `${page.slice(0, from + begin.length)}\n\n${fieldTable()}\n${page.slice(to)}`
}

function fieldTable(): string {
  const registry = descriptors()
  const reached = new Map<string, DescMessage>()
  for (const root of roots) reach(registry.getMessage(root), reached)
  const fromRoots = [...reached.keys()]
  for (const type of registry)
    if (type.kind === 'message' && !reached.has(type.typeName) && supportsExtension(type.typeName)) reach(type, reached)
  const extensions = [...reached.keys()].filter((name) => !fromRoots.includes(name)).sort()
  return [section('Resources', fromRoots.sort(), registry), section('Extensions', extensions, registry)].join('\n')
}

/** Collects a message and those that its supported fields hold. */
function reach(type: DescMessage | undefined, reached: Map<string, DescMessage>): void {
  if (type === undefined || reached.has(type.typeName) || /^(google|udpa|validate)\./.test(type.typeName)) return
  reached.set(type.typeName, type)
  for (const field of type.fields) {
    if (fieldSupport(type.typeName, field.name) !== 'yes') continue
    if (field.message !== undefined) reach(field.message, reached)
  }
}

function section(title: string, names: readonly string[], registry: Registry): string {
  const rows = names.flatMap((name) => {
    const type = registry.getMessage(name)
    return type === undefined || type.fields.length === 0 ? [] : [row(type)]
  })
  return [`### ${title}`, '', '| message | does | takes without effect | refuses |', '|---|---|---|---|', ...rows, ''].join('\n')
}

function row(type: DescMessage): string {
  const of = (support: string): string[] =>
    type.fields
      // What Envoy itself has deprecated is not missed.
      .filter((field) => fieldSupport(type.typeName, field.name) === support && !(support === 'no' && field.deprecated))
      .map((field) => `\`${field.name}\``)
  const [yes, noEffect, no] = [of('yes'), of('no-effect'), of('no')]
  const does = noEffect.length + no.length === 0 ? 'all' : yes.join(' ')
  return `| \`${type.typeName}\` | ${does} | ${noEffect.join(' ')} | ${no.join(' ')} |`
}

if (process.argv[1] === import.meta.filename) {
  const page = readFileSync(compatibilityPage, 'utf8')
  const fresh = withFieldTable(page)
  if (fresh !== page) writeFileSync(compatibilityPage, fresh)
  console.log(fresh === page ? 'docs/envoy-compatibility.md is up to date' : 'docs/envoy-compatibility.md brought up to date')
}
