import { normalizePath, type PathRules } from '@weft/proxy/filters/network/http-connection-manager/path-normalization'
import { pathOnly } from '@weft/proxy/routing/route-match'
import { array, type Json, type JsonObject, object, optionalArray, readCases, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'

/** The tables are of Envoys before dot segments could have parameters (strip_dotdot_segments_with_parameters in their runtime). */
const nothing: PathRules = { normalize: false, mergeSlashes: false, escapedSlashes: 'keep', dotParameters: false }

/** Envoy's own tables of path work, each step alone. */
export function envoyPath(dir: string): CaseResult[] {
  const file = readCases(dir, 'envoy-path.json')
  const table = (name: string, step: (path: string) => Json): CaseResult[] =>
    array(file[name], name).map((value) => {
      const { in: path, out, found } = object(value, name)
      const from = text(path, 'in')
      return result(`${name} ${from}`, found === undefined ? (out ?? null) : { out: out ?? null, found }, step(from))
    })
  return [
    ...table('normalize', (path) => normalized(path.startsWith('/') ? path : `/${path}`, { ...nothing, normalize: true })),
    ...table('merge_slashes', (path) => normalized(path, { ...nothing, mergeSlashes: true })),
    ...table('remove_query_and_fragment', pathOnly),
    ...table('unescape_slashes', (path) => {
      const { type, path: out } = normalizePath(path, { ...nothing, escapedSlashes: 'redirect' })
      return { out, found: type === 'redirect' }
    }),
    ...optionalArray(file['normalize_reject'], 'normalize_reject').map((value) => {
      const path = text(value, 'path')
      return result(`normalize_reject ${path}`, '400', normalized(path, { ...nothing, normalize: true }))
    }),
  ]
}

/** What upstream sees of paths under each of Istio's settings. */
export function istioPathNormalization(dir: string): CaseResult[] {
  const file = readCases(dir, 'envoy-istio-path-normalization.json')
  const play = (name: string, setting: string, expectations: Json | undefined): CaseResult[] => {
    const rules = settings[setting]
    if (rules === undefined) throw new Error(`no path normalisation is called ${setting}`)
    return optionalArray(expectations, name).map((value) => {
      const { in: from, out } = object(value, name)
      // A fragment stays with the client.
      const path = text(from, 'in').replace(/#.*/, '')
      return result(`${name} ${String(from)}`, out ?? null, normalized(path, rules))
    })
  }
  const prefix = 'percent_encoded_'
  return [
    ...array(file['cases'], 'cases').flatMap((value) => {
      const one: JsonObject = object(value, 'case')
      const setting = text(one['ntype'], 'ntype').replace('MeshConfig_ProxyPathNormalization_', '')
      return play(text(one['name'], 'name'), setting, one['expectations'])
    }),
    ...Object.keys(file)
      .filter((name) => name.startsWith(prefix))
      .flatMap((name) => play(name, name.slice(prefix.length), file[name])),
  ]
}

const settings: Readonly<Record<string, PathRules>> = {
  NONE: nothing,
  BASE: { ...nothing, normalize: true },
  MERGE_SLASHES: { ...nothing, normalize: true, mergeSlashes: true },
  DECODE_AND_MERGE_SLASHES: { ...nothing, normalize: true, mergeSlashes: true, escapedSlashes: 'forward' },
}

function normalized(path: string, rules: PathRules): string {
  const { type, path: out } = normalizePath(path, rules)
  return type === 'path' ? out : '400'
}

function result(name: string, expected: Json, actual: Json): CaseResult {
  return { name, passed: JSON.stringify(expected) === JSON.stringify(actual), expected, actual }
}
