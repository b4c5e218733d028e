import { invalid, unsupported } from '../../plan/problems.ts'

/** What a segment may have (RFC 3986, pchar), as Envoy takes it. */
const pchar = "a-zA-Z0-9\\-._~%!$&'()*+,;:@="
const maxVariables = 5

/**
 * Compiles a path template (Envoy's `uri_template`): `*` is within one segment, of one character at least; `**` is
 * all that follows, before an optional end; `{name}` is `*`. The path comes without its query.
 */
export function compileUriTemplate(template: string, path: string): (path: string) => boolean {
  if (!template.startsWith('/')) throw invalid(path, `the path template '${template}' does not begin with /`)
  if (template.includes('//')) throw invalid(path, `the path template '${template}' has an empty segment`)
  const names = new Set<string>()
  let pattern = ''
  let rest = false
  for (const [token] of template.matchAll(/\{[^}]*\}|\*\*|\*|[^{}*]+|[{}]/g)) {
    const operator = operatorOf(token, names, template, path)
    if (operator === undefined) {
      if (!new RegExp(`^[/${pchar}]+$`).test(token)) throw invalid(path, `'${token}' can't stand in a path template`)
      pattern += token.replaceAll(/[.+?()[\]{}^$|\\]/g, '\\$&')
      continue
    }
    if (rest) throw invalid(path, `${operator} follows ** in the path template '${template}'`)
    rest = operator === '**'
    pattern += rest ? `[/${pchar}]*` : `[${pchar}]+`
  }
  if (names.size > maxVariables) throw invalid(path, `the path template '${template}' has more than ${maxVariables} names`)
  const regex = new RegExp(`^${pattern}$`)
  return (text) => regex.test(text)
}

/** `*` or `**`, plain or by name; undefined for text. */
function operatorOf(token: string, names: Set<string>, template: string, path: string): '*' | '**' | undefined {
  if (token === '*' || token === '**') return token
  if (token !== '{' && token !== '}' && !token.startsWith('{')) return undefined
  const [, name, , pattern = '*'] = /^\{([a-zA-Z]\w{0,15})(=([^}]+))?\}$/.exec(token) ?? []
  if (name === undefined) throw invalid(path, `'${token}' names nothing in the path template '${template}'`)
  if (names.has(name)) throw invalid(path, `the path template '${template}' has {${name}} twice`)
  names.add(name)
  if (pattern !== '*' && pattern !== '**') throw unsupported(path, `a pattern for {${name}} other than * and **`)
  return pattern
}
