import { isIP } from 'node:net'
import { Ip } from '@weft/contracts/envoy/extensions/matching/input_matchers/ip/v3/ip'
import type { Any } from '@weft/contracts/google/protobuf/any'
import type { TypedExtensionConfig } from '@weft/contracts/xds/core/v3/extension'
import { IPMatcher } from '@weft/contracts/xds/type/matcher/v3/ip'
import type {
  Matcher,
  Matcher_OnMatch as OnMatch,
  Matcher_MatcherList_Predicate as Predicate,
} from '@weft/contracts/xds/type/matcher/v3/matcher'
import { invalid, unsupported } from '../../plan/problems.ts'
import { compileRanges } from '../../transport/address.ts'
import { compileMatchInput, type MatchInput, type MatchMoment, type MatchSubject } from './match-input.ts'
import { compileStringMatcher } from './string-matcher.ts'

/** Gives what a subject's match comes to; null: nothing matched. */
export type MatchTree<R> = (subject: MatchSubject) => R | null

type Test = (subject: MatchSubject) => boolean

/**
 * Compiles an `xds.type.matcher.v3.Matcher`. `action` makes of an action's configuration what the tree gives, `moment` says when it is asked. A match whose
 * own tree comes to nothing is none: the search goes on, with shorter prefixes too (xDS, "Unified Matcher").
 */
export function compileMatchTree<R>(
  source: Matcher,
  path: string,
  action: (config: Any, path: string) => R,
  moment: MatchMoment = 'request',
): MatchTree<R> {
  return compileTree(source, path, { action, moment })
}

/** What holds for all of a tree. */
interface TreeContext<R> {
  /** What an action's configuration comes to. */
  action(config: Any, path: string): R
  moment: MatchMoment
}

function compileTree<R>(source: Matcher, path: string, tree: TreeContext<R>): MatchTree<R> {
  const inner = compileMatcher(source, path, tree)
  if (source.onNoMatch === undefined) return inner
  const otherwise = compileOnMatch(source.onNoMatch, `${path}.on_no_match`, tree)
  return (subject) => inner(subject) ?? otherwise(subject)
}

function compileMatcher<R>(source: Matcher, path: string, tree: TreeContext<R>): MatchTree<R> {
  const type = source.matcherType
  if (type === undefined) return () => null
  if (type.$case === 'matcherList') {
    const list = type.value.matchers.map(({ predicate, onMatch }, i) => {
      const at = `${path}.matcher_list.matchers[${i}]`
      if (predicate === undefined || onMatch === undefined) throw invalid(at, 'a predicate and an on_match are needed')
      return {
        test: compilePredicate(predicate, `${at}.predicate`, tree.moment),
        next: compileOnMatch(onMatch, `${at}.on_match`, tree),
      }
    })
    return (subject) => {
      for (const { test, next } of list) {
        const found = test(subject) ? next(subject) : null
        if (found !== null) return found
      }
      return null
    }
  }
  const at = `${path}.matcher_tree`
  const { input: inputConfig, treeType } = type.value
  const input = compileMatchInput(needed(inputConfig, `${at}.input`), `${at}.input`, tree.moment)
  switch (treeType?.$case) {
    case undefined:
      throw invalid(at, 'a map or custom_match is needed')
    case 'exactMatchMap': {
      const map = new Map(
        Object.entries(treeType.value.map).map(([key, one]) => [
          key,
          compileOnMatch(one, `${at}.exact_match_map.map['${key}']`, tree),
        ]),
      )
      return (subject) => {
        const value = input(subject)
        return value === null ? null : (map.get(value)?.(subject) ?? null)
      }
    }
    case 'prefixMatchMap': {
      const longestFirst = Object.entries(treeType.value.map)
        .sort(([a], [b]) => b.length - a.length)
        .map(([prefix, one]) => ({ prefix, next: compileOnMatch(one, `${at}.prefix_match_map.map['${prefix}']`, tree) }))
      return (subject) => {
        const value = input(subject)
        if (value === null) return null
        for (const { prefix, next } of longestFirst) {
          const found = value.startsWith(prefix) ? next(subject) : null
          if (found !== null) return found
        }
        return null
      }
    }
    case 'customMatch':
      return compileIpTree(treeType.value, `${at}.custom_match`, input, tree)
  }
}

/** `xds.type.matcher.v3.IPMatcher`: the longest range that holds the address first, then the others, unless it is exclusive. */
function compileIpTree<R>(config: TypedExtensionConfig, path: string, input: MatchInput, tree: TreeContext<R>): MatchTree<R> {
  const { typedConfig } = config
  if (typedConfig === undefined || nameOf(typedConfig) !== 'xds.type.matcher.v3.IPMatcher')
    throw unsupported(`${path}.typed_config`, `the matcher '${typedConfig?.typeUrl ?? config.name}'`)
  const entries = IPMatcher.decode(typedConfig.value)
    .rangeMatchers.flatMap(({ ranges, onMatch, exclusive }, i) => {
      const at = `${path}.typed_config.range_matchers[${i}]`
      if (onMatch === undefined) throw invalid(`${at}.on_match`, 'an on_match is needed')
      const next = compileOnMatch(onMatch, `${at}.on_match`, tree)
      return ranges.map((range, k) => ({
        length: range.prefixLen ?? 0,
        holds: compileRanges([range], `${at}.ranges[${k}]`),
        next,
        exclusive,
      }))
    })
    .sort((a, b) => b.length - a.length)
  return (subject) => {
    const address = input(subject)
    if (address === null || isIP(address) === 0) return null
    for (const { holds, next, exclusive } of entries) {
      if (!holds(address)) continue
      const found = next(subject)
      if (found !== null || exclusive) return found
    }
    return null
  }
}

function compileOnMatch<R>({ onMatch, keepMatching }: OnMatch, path: string, tree: TreeContext<R>): MatchTree<R> {
  if (onMatch === undefined) throw invalid(path, 'a matcher or an action is needed')
  // Nor is it in Envoy, for any matcher that this proxy has.
  if (keepMatching) throw invalid(`${path}.keep_matching`, 'keep_matching is not supported in this context')
  if (onMatch.$case === 'matcher') return compileTree(onMatch.value, `${path}.matcher`, tree)
  const made = tree.action(needed(onMatch.value, `${path}.action`), `${path}.action.typed_config`)
  return () => made
}

function compilePredicate({ matchType }: Predicate, path: string, moment: MatchMoment): Test {
  switch (matchType?.$case) {
    case undefined:
      throw invalid(path, 'the predicate says nothing to match')
    case 'notMatcher': {
      const inner = compilePredicate(matchType.value, `${path}.not_matcher`, moment)
      return (subject) => !inner(subject)
    }
    case 'andMatcher': {
      const parts = matchType.value.predicate.map((one, i) =>
        compilePredicate(one, `${path}.and_matcher.predicate[${i}]`, moment),
      )
      return (subject) => parts.every((part) => part(subject))
    }
    case 'orMatcher': {
      const parts = matchType.value.predicate.map((one, i) => compilePredicate(one, `${path}.or_matcher.predicate[${i}]`, moment))
      return (subject) => parts.some((part) => part(subject))
    }
    case 'singlePredicate': {
      const { input, matcher } = matchType.value
      const at = `${path}.single_predicate`
      const read = compileMatchInput(needed(input, `${at}.input`), `${at}.input`, moment)
      const matches = compileValue(matcher, at)
      return (subject) => {
        const value = read(subject)
        return value !== null && matches(value)
      }
    }
  }
}

type SingleMatcher = Extract<NonNullable<Predicate['matchType']>, { $case: 'singlePredicate' }>['value']['matcher']

function compileValue(matcher: SingleMatcher, path: string): (value: string) => boolean {
  if (matcher === undefined) throw invalid(path, 'a value_match or custom_match is needed')
  if (matcher.$case === 'valueMatch') return compileStringMatcher(matcher.value, `${path}.value_match`)
  const config = needed(matcher.value, `${path}.custom_match`)
  if (nameOf(config) !== 'envoy.extensions.matching.input_matchers.ip.v3.Ip')
    throw unsupported(`${path}.custom_match.typed_config`, `the matcher '${config.typeUrl}'`)
  const holds = compileRanges(Ip.decode(config.value).cidrRanges, `${path}.custom_match.typed_config.cidr_ranges`)
  return (value) => isIP(value) !== 0 && holds(value)
}

function needed(config: TypedExtensionConfig | undefined, path: string): Any {
  if (config?.typedConfig === undefined) throw invalid(path, 'a typed_config is needed')
  return config.typedConfig
}

function nameOf({ typeUrl }: Any): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1)
}
