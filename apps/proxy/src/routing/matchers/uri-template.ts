import { invalid } from '../../plan/problems.ts'

/** What a segment may have (RFC 3986, pchar), as Envoy takes it. */
const pchar = "a-zA-Z0-9\\-._~%!$&'()*+,;:@="
const maxVariables = 5

/**
 * Compiles a path template (Envoy's `uri_template`): `*` is within one segment, of one character at least; `**` is
 * all that follows, before an optional end; `{name}` is `*`, `{name=pattern}` what the pattern says. The path comes without its query.
 */
export function compileUriTemplate(template: string, path: string): (path: string) => boolean {
  const { regex } = compileTemplate(template, path)
  return (text) => regex.test(text)
}

/** The same as an expression with a group for each name, for rewrites. */
export function compileTemplate(template: string, path: string): { regex: RegExp; names: ReadonlySet<string> } {
  if (!template.startsWith('/')) throw invalid(path, `the path template '${template}' does not begin with /`)
  if (template.includes('//')) throw invalid(path, `the path template '${template}' has an empty segment`)
  if (template.includes('}{')) throw invalid(path, `one name follows another at once in the path template '${template}'`)
  const names = new Set<string>()
  let rest = false
  /** The pattern of text and operators, those of a name's own pattern too. */
  const compile = (text: string, inName: boolean): string => {
    let pattern = ''
    for (const [token] of text.matchAll(inName ? /\*\*|\*|[^*]+/g : /\{[^}]*\}|\*\*|\*|[^{}*]+|[{}]/g)) {
      if (!inName && (token.startsWith('{') || token === '}')) {
        const { name, own } = nameOf(token, names, template, path)
        pattern += `(?<${name}>${compile(own, true)})`
      } else if (token === '*' || token === '**') {
        if (rest) throw invalid(path, `${token} follows ** in the path template '${template}'`)
        rest = token === '**'
        pattern += rest ? `[/${pchar}]*` : `[${pchar}]+`
      } else {
        if (!new RegExp(`^[/${pchar}]+$`).test(token)) throw invalid(path, `'${token}' can't stand in a path template`)
        pattern += token.replaceAll(/[.+?()[\]{}^$|\\]/g, '\\$&')
      }
    }
    return pattern
  }
  const pattern = compile(template, false)
  if (names.size > maxVariables) throw invalid(path, `the path template '${template}' has more than ${maxVariables} names`)
  return { regex: new RegExp(`^${pattern}$`), names }
}

/** Compiles a rewrite by the names of the template that matched: `/{rest}/of/{id}`. */
export function compileTemplateRewrite(
  matched: { regex: RegExp; names: ReadonlySet<string> },
  rewrite: string,
  path: string,
): (path: string) => string {
  if (!new RegExp(`^/[/{}${pchar}]*$`).test(rewrite) || rewrite.includes('//'))
    throw invalid(path, `the path rewrite '${rewrite}' is no path`)
  const pieces = [...rewrite.matchAll(/\{([^}]*)\}|[^{}]+|[{}]/g)].map(([text, name]) => {
    if (name === undefined) {
      if (text === '{' || text === '}') throw invalid(path, `a brace stands alone in the path rewrite '${rewrite}'`)
      return { text, name: '' }
    }
    if (!matched.names.has(name)) throw invalid(path, `the path template has no {${name}}, which its rewrite uses`)
    return { text: '', name }
  })
  return (text) => {
    const groups = matched.regex.exec(text)?.groups ?? {}
    return pieces.map((piece) => (piece.name === '' ? piece.text : (groups[piece.name] ?? ''))).join('')
  }
}

/** A name and its pattern, `*` unless it says another. */
function nameOf(token: string, names: Set<string>, template: string, path: string): { name: string; own: string } {
  const [, name, , own = '*'] = /^\{([a-zA-Z]\w{0,15})(=([^}]+))?\}$/.exec(token) ?? []
  if (name === undefined) throw invalid(path, `'${token}' names nothing in the path template '${template}'`)
  if (/\*[^*/]/.test(own))
    throw invalid(path, `a * ends a segment of a name's pattern in the path template '${template}', unlike in '${token}'`)
  if (names.has(name)) throw invalid(path, `the path template '${template}' has {${name}} twice`)
  names.add(name)
  return { name, own }
}
