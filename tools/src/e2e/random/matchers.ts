import type { Message } from '../parity/bootstrap.ts'
import { type Choice, fields } from './choice.ts'
import { hosts, names, paths, patterns, prefixes, values } from './words.ts'

export function stringMatcher(choice: Choice, words: readonly string[] = values): Message {
  const word = (): string => choice.pick(words.filter((one) => one !== ''))
  const matcher = choice.pick<() => Message>([
    () => ({ exact: word() }),
    () => ({ prefix: word().slice(0, 2) }),
    () => ({ suffix: word().slice(-2) }),
    () => ({ contains: word().slice(0, 2) }),
    () => ({ safe_regex: { regex: choice.pick(patterns) } }),
  ])()
  return choice.chance(25) && !('safe_regex' in matcher) ? { ...matcher, ignore_case: true } : matcher
}

export function headerMatcher(choice: Choice): Message {
  const name = choice.pick([
    ...names,
    ...names,
    ':method',
    ':authority',
    ':path',
    'x-none',
    'Content-Type',
    'x-forwarded-for',
    'cookie',
  ])
  const kind = choice.pick<() => Message>([
    () => ({ string_match: stringMatcher(choice, name === ':authority' ? hosts : name === ':path' ? paths : values) }),
    () => ({ exact_match: choice.pick(values) }),
    () => ({ range_match: { start: '-10', end: '10' } }),
    () => ({ present_match: choice.chance(70) }),
    () => ({ safe_regex_match: { regex: choice.pick(patterns) } }),
    () => ({ prefix_match: 'o' }),
    () => ({ contains_match: 'n' }),
    () => ({}),
  ])()
  return fields({
    name,
    ...kind,
    invert_match: choice.maybe(25, () => true),
    treat_missing_header_as_empty: choice.maybe(20, () => true),
  })
}

export function queryMatcher(choice: Choice): Message {
  const name = choice.pick(['q', 'r', ''].filter(Boolean))
  return choice.chance(70)
    ? { name, string_match: stringMatcher(choice, ['1', '2', 'x', 'a b']) }
    : choice.chance(80)
      ? { name, present_match: choice.chance(80) }
      : { name }
}

function cookieMatcher(choice: Choice): Message {
  return fields({
    name: choice.pick(['c', 'd']),
    string_match: stringMatcher(choice),
    invert_match: choice.maybe(30, () => true),
  })
}

/** A path template, with the variables that a rewrite may use. */
export const templates = ['/a/{x}', '/{x}/{y}/**', '/b/{x=*}/c', '/a/{x=**}', '/*/{x}'] as const

/** Which requests a route takes. */
export function routeMatch(choice: Choice): Message {
  const path = choice.pick<() => Message>([
    () => ({ prefix: choice.pick(prefixes) }),
    () => ({ prefix: choice.pick(prefixes) }),
    () => ({ prefix: '/' }),
    () => ({ path: choice.pick(paths.filter((one) => !one.includes('#'))) }),
    () => ({ safe_regex: { regex: choice.pick(['/a.*', '/b/[0-9]+/.*', '/[ab]', '.*', '/(a|b)/.+']) } }),
    () => ({ path_separated_prefix: choice.pick(['/a', '/b', '/a/b', '/svc.Api']) }),
    () => ({
      path_match_policy: {
        name: 'template',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
          path_template: choice.pick(templates),
        },
      },
    }),
  ])()
  return fields({
    ...path,
    case_sensitive: choice.maybe(20, () => choice.chance(30)),
    headers: choice.chance(30) ? choice.many(1, 2, () => headerMatcher(choice)) : [],
    query_parameters: choice.chance(15) ? [queryMatcher(choice)] : [],
    cookies: choice.chance(8) ? [cookieMatcher(choice)] : [],
    runtime_fraction: choice.maybe(10, () => ({
      default_value: { numerator: choice.pick([0, 100]), denominator: 'HUNDRED' },
      runtime_key: 'none',
    })),
    grpc: choice.maybe(5, () => ({})),
    dynamic_metadata: choice.maybe(6, () => [
      { filter: 'ns', path: [{ key: 'k' }], value: { string_match: stringMatcher(choice) }, invert: choice.chance(30) },
    ]),
  })
}
