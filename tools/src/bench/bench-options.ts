import { WeftError } from '@weft/service/errors'

/** How a benchmark is to be run. */
export interface BenchOptions {
  rounds: number
  seconds: number
  /** Which of its peers, platforms or works: names, or parts of them; empty: all. */
  only: readonly string[]
  /** How many, for a benchmark that goes by requests. */
  requests: number
}

/** Those of `names` that `--only` names, whole or by a part. Throws a WeftError that tells what there is where it names something else. */
export function chosen<Name extends string>(names: readonly Name[], only: readonly string[]): Name[] {
  const found = only.map((word) => {
    const named = names.filter((name) => name === word)
    return named.length > 0 ? named : names.filter((name) => name.includes(word))
  })
  const unknown = only.filter((_, at) => found[at]?.length === 0)
  if (unknown.length > 0)
    throw new WeftError(
      'invalid_argument',
      `--only: nothing here is called '${unknown.join("', '")}'; there are: ${names.join('; ')}`,
    )
  return only.length === 0 ? [...names] : names.filter((name) => found.some((ones) => ones.includes(name)))
}
