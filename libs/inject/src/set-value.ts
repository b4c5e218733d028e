import { isRecord } from '@weft/config/document'
import { WeftError } from '@weft/service/errors'
import { parse } from 'yaml'

/** Deeper than any value stands. */
const mostKeys = 16

/**
 * Sets one value by `path.to.it=VALUE`, as Helm's `--set` does; the value is read as YAML, and `\.` is a dot in a name. With
 * `known`, a path that is not in it is refused, but for what stands below an empty object. Gives new values.
 */
export function setValue(values: unknown, assignment: string, known?: unknown): Record<string, unknown> {
  const at = assignment.indexOf('=')
  const path = assignment
    .slice(0, Math.max(at, 0))
    .split(/(?<!\\)\./)
    .map((key) => key.replaceAll('\\.', '.'))
  if (at < 1 || path.length > mostKeys || path.some((key) => key === '' || key === '__proto__')) {
    throw new WeftError('invalid_argument', `--set ${assignment}: it must be NAME=VALUE`, {
      hint: 'such as global.proxy.logLevel=debug',
    })
  }
  if (known !== undefined) checkKnown(path, known, assignment)
  let value: unknown
  try {
    value = parse(assignment.slice(at + 1), { maxAliasCount: 0, prettyErrors: false })
  } catch (thrown) {
    throw new WeftError('invalid_argument', `--set ${assignment}: ${WeftError.from(thrown).message}`)
  }
  const text = assignment.slice(at + 1)
  // `1.0` is the name of a version, not the number 1.
  return set(values, path, typeof value === 'number' && String(value) !== text ? text : (value ?? ''))
}

function set(values: unknown, [key = '', ...rest]: readonly string[], value: unknown): Record<string, unknown> {
  const base = isRecord(values) ? values : {}
  return { ...base, [key]: rest.length === 0 ? value : set(base[key], rest, value) }
}

function checkKnown(path: readonly string[], known: unknown, assignment: string): void {
  let at = known
  for (const [index, key] of path.entries()) {
    if (!isRecord(at) || Object.keys(at).length === 0) return
    if (!Object.hasOwn(at, key)) {
      const before = path.slice(0, index).join('.')
      throw new WeftError('invalid_argument', `--set ${assignment}: there is no value ${path.slice(0, index + 1).join('.')}`, {
        hint: `${before === '' ? 'the names are' : `below ${before} there are`} ${Object.keys(at).sort().join(', ')}`,
      })
    }
    at = at[key]
  }
}
