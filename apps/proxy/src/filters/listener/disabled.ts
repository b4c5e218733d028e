import type { ListenerFilterChainMatchPredicate } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import type { CompiledListenerFilter, ConnectionFacts } from './filter.ts'

/** A listener filter that leaves connections alone where `filter_disabled` matches the port that they go to. */
export function unlessDisabled(
  filter: CompiledListenerFilter,
  predicate: ListenerFilterChainMatchPredicate | undefined,
): CompiledListenerFilter {
  if (predicate === undefined) return filter
  const disabled = matcherOf(predicate)
  return { ...filter, inspect: (bytes, facts) => (disabled(facts.local) ? 0 : filter.inspect(bytes, facts)) }
}

/** Throws nothing: what the API demands of a predicate has been looked at before. */
function matcherOf({ rule }: ListenerFilterChainMatchPredicate): (local: ConnectionFacts['local']) => boolean {
  switch (rule?.$case) {
    case 'orMatch': {
      const any = rule.value.rules.map(matcherOf)
      return (local) => any.some((matches) => matches(local))
    }
    case 'andMatch': {
      const all = rule.value.rules.map(matcherOf)
      return (local) => all.every((matches) => matches(local))
    }
    case 'notMatch': {
      const matches = matcherOf(rule.value)
      return (local) => !matches(local)
    }
    case 'destinationPortRange': {
      const { start, end } = rule.value
      return ({ port }) => port >= start && port < end
    }
    default:
      return () => rule?.$case === 'anyMatch'
  }
}
