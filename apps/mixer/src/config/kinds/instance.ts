import type { Bag } from '@weft/attributes/bag'
import { type Manifest, manifestOf } from '@weft/attributes/manifest'
import type { ValueType } from '@weft/attributes/types'
import { compile } from '@weft/expressions/expression'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import type { TemplateName } from '../../adapter.ts'
import { protoMessage } from '../../adapters/fields.ts'
import { OUTPUT_PREFIX } from '../../dispatch/complete-attributes.ts'
import type { Binding, PlannedInstance } from '../../dispatch/plan.ts'
import { isTemplateName, templates } from '../../templates/catalogue.ts'
import { compileInstance, type FieldProblem, type SharedMaps } from '../../templates/instance-builder.ts'
import type { Template } from '../../templates/template.ts'
import type { MixerObject, Report } from '../mixer-object.ts'
import { parseSpec } from '../parse-spec.ts'

/** An instance, ready to be made for requests. */
export interface CompiledInstance extends PlannedInstance {
  readonly template: TemplateName
  readonly bindings: readonly Binding[]
}

const generic = protoMessage({
  template: z.string().optional(),
  compiledTemplate: z.string().optional(),
  params: z.unknown().optional(),
  attributeBindings: z.record(z.string(), z.string()).default({}),
})

/** Compiles an object of kind `instance`, or of a template's own kind. Problems are reported, and give undefined. */
export function compileInstanceObject(
  object: MixerObject,
  manifest: Manifest,
  report: Report,
  shared: SharedMaps,
): CompiledInstance | undefined {
  const written = object.kind === 'instance' ? readGeneric(object, report) : readLegacy(object)
  if (written === undefined) return undefined
  const { templateName, params, paramsPath, bindings, bindingsPath } = written
  const template: Template = templates[templateName]
  const problems: FieldProblem[] = []
  const build = compileInstance(object.fullName, template.fields, params, manifest, problems, shared)
  for (const { path, message } of problems) report(object, [...paramsPath, ...path], message)
  const compiled = compileBindings(object, template, bindings, bindingsPath, manifest, report)
  if (problems.length > 0 || compiled === undefined) return undefined
  return { name: object.fullName, shortName: object.name, template: templateName, build, bindings: compiled }
}

interface Written {
  templateName: TemplateName
  params: unknown
  paramsPath: string[]
  bindings: unknown
  bindingsPath: string[]
}

function readGeneric(object: MixerObject, report: Report): Written | undefined {
  const spec = parseSpec(object, generic, report)
  if (spec === undefined) return undefined
  const field = spec.compiledTemplate === undefined ? 'template' : 'compiledTemplate'
  const name = templateNameOf(spec.compiledTemplate ?? spec.template ?? '')
  if (!isTemplateName(name)) {
    const message = name === '' ? 'names no template' : `there is no template '${name}'`
    report(object, ['spec', field], message, `there are ${Object.keys(templates).join(', ')}`)
    return undefined
  }
  return {
    templateName: name,
    params: spec.params,
    paramsPath: ['spec', 'params'],
    bindings: spec.attributeBindings,
    bindingsPath: ['spec', 'attributeBindings'],
  }
}

/** A template may be named with the namespace of its declaration. */
function templateNameOf(reference: string): string {
  return reference.split('.')[0] ?? ''
}

const BINDING_KEYS = ['attribute_bindings', 'attributeBindings']

/** In the kinds of Istio 1.0 the bindings stand among the parameters. */
function readLegacy(object: MixerObject): Written | undefined {
  if (!isTemplateName(object.kind)) return undefined
  const spec = typeof object.spec === 'object' && object.spec !== null && !Array.isArray(object.spec) ? object.spec : undefined
  const key = BINDING_KEYS.find((name) => spec !== undefined && Object.hasOwn(spec, name))
  return {
    templateName: object.kind,
    params:
      spec === undefined
        ? object.spec
        : Object.fromEntries(Object.entries(spec).filter(([name]) => !BINDING_KEYS.includes(name))),
    paramsPath: ['spec'],
    bindings: key === undefined || spec === undefined ? {} : Reflect.get(spec, key),
    bindingsPath: ['spec', key ?? 'attribute_bindings'],
  }
}

function compileBindings(
  object: MixerObject,
  template: Template,
  bindings: unknown,
  path: string[],
  manifest: Manifest,
  report: Report,
): Binding[] | undefined {
  const read = z.record(z.string(), z.string()).safeParse(bindings ?? {})
  if (!read.success) {
    report(object, path, 'must be a map of attributes to expressions')
    return undefined
  }
  const entries = Object.entries(read.data)
  const { output } = template
  if (output === undefined) {
    if (entries.length > 0) report(object, path, `template '${template.name}' gives no attributes`, 'remove the bindings')
    return entries.length > 0 ? undefined : []
  }
  const extended = withOutput(manifest, output)
  const compiled: Binding[] = []
  for (const [attribute, text] of entries) {
    const type = manifest.typeOf(attribute)
    if (type === undefined) {
      report(object, [...path, attribute], `unknown attribute '${attribute}'`, 'declare it in an attributemanifest')
      continue
    }
    try {
      const expression = compile(text.replaceAll('$out.', OUTPUT_PREFIX), extended)
      if (expression.type === type) compiled.push({ attribute, evaluate: (bag: Bag) => expression.resolve(bag) })
      else report(object, [...path, attribute], `is ${expression.type}, but '${attribute}' is ${type}`)
    } catch (error) {
      report(object, [...path, attribute], WeftError.from(error).message)
    }
  }
  return compiled.length === entries.length ? compiled : undefined
}

function withOutput(manifest: Manifest, output: Readonly<Record<string, ValueType>>): Manifest {
  const types = new Map<string, ValueType>()
  for (const name of manifest.names()) {
    const type = manifest.typeOf(name)
    if (type !== undefined) types.set(name, type)
  }
  for (const [name, type] of Object.entries(output)) types.set(`${OUTPUT_PREFIX}${name}`, type)
  return manifestOf(types)
}
