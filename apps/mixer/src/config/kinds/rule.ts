import type { Bag } from '@weft/attributes/bag'
import type { Manifest } from '@weft/attributes/manifest'
import { stringify } from '@weft/attributes/stringify'
import { compile, compilePredicate, type Predicate } from '@weft/expressions/expression'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import { protoMessage } from '../../adapters/fields.ts'
import { type Demand, demandOf } from '../../dispatch/destination-index.ts'
import type { HeaderOperation } from '../../dispatch/plan.ts'
import type { MixerObject, Report } from '../mixer-object.ts'
import { parseSpec } from '../parse-spec.ts'

const headerOperation = protoMessage({
  name: z.string().regex(/^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'is no name of a header'),
  values: z.array(z.string()).max(100).default([]),
  operation: z.enum(['REPLACE', 'REMOVE', 'APPEND']).default('REPLACE'),
})

const schema = protoMessage({
  match: z.string().default(''),
  actions: z
    .array(
      protoMessage({
        handler: z.string().min(1),
        instances: z.array(z.string().min(1)).default([]),
        name: z.string().optional(),
      }),
    )
    .default([]),
  requestHeaderOperations: z.array(headerOperation).default([]),
  responseHeaderOperations: z.array(headerOperation).default([]),
})

/** A rule as it was written, its expressions compiled; its names are not looked up yet. */
export interface CompiledRule {
  readonly object: MixerObject
  readonly match: Predicate | undefined
  readonly demand: Demand | undefined
  readonly actions: readonly { readonly handler: string; readonly instances: readonly string[] }[]
  readonly requestHeaders: readonly HeaderOperation[]
  readonly responseHeaders: readonly HeaderOperation[]
}

/** Compiles a rule. Problems are reported, and give undefined. */
export function compileRule(object: MixerObject, manifest: Manifest, report: Report): CompiledRule | undefined {
  const spec = parseSpec(object, schema, report)
  if (spec === undefined) return undefined
  let bad = false
  const refuse = (path: PropertyKey[], message: string, hint?: string): void => {
    bad = true
    report(object, ['spec', ...path], message, hint)
  }

  let match: Predicate | undefined
  let demand: Demand | undefined
  if (spec.match.trim() !== '') {
    try {
      match = compilePredicate(spec.match, manifest)
      demand = demandOf(spec.match)
    } catch (error) {
      refuse(['match'], WeftError.from(error).message)
    }
  }
  const headers = (field: 'requestHeaderOperations' | 'responseHeaderOperations'): HeaderOperation[] =>
    spec[field].flatMap(({ name, values, operation }, index): HeaderOperation[] => {
      if (operation === 'REMOVE') return [{ name, operation, value: () => '' }]
      if (values.length === 0) refuse([field, index, 'values'], `${operation} needs a value`)
      return values.flatMap((text, place) => {
        try {
          return [{ name, operation, value: headerValue(text, manifest) }]
        } catch (error) {
          refuse([field, index, 'values', place], WeftError.from(error).message)
          return []
        }
      })
    })
  const requestHeaders = headers('requestHeaderOperations')
  const responseHeaders = headers('responseHeaderOperations')
  if (spec.actions.length === 0 && requestHeaders.length === 0 && responseHeaders.length === 0) {
    refuse(['actions'], 'the rule does nothing', 'add an action, or a header operation')
  }
  return bad ? undefined : { object, match, demand, actions: spec.actions, requestHeaders, responseHeaders }
}

function headerValue(text: string, manifest: Manifest): (bag: Bag) => string | undefined {
  const expression = compile(text, manifest)
  return (bag) => {
    try {
      const value = expression.resolve(bag)
      return value === undefined ? undefined : withoutBreaks(stringify(value))
    } catch {
      return undefined
    }
  }
}

/** A value that came from a request must not end its header's line. */
function withoutBreaks(value: string): string {
  return value.replace(/[\r\n\0]/g, ' ')
}
