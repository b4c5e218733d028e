import { WeftError, type Where } from '@weft/service/errors'

/** Gives the value of `${name}` or `${name:argument}`, or undefined when there is none. */
export type TemplateValues = Record<string, string | ((argument: string) => string | undefined)>

/**
 * Fills `${name}` and `${name:argument}` in a text; `$${` stands for a plain `${`. A name or argument that has no value
 * is an error that says where it stands and which names there are.
 */
export function fillTemplate(text: string, values: TemplateValues, where: Where): string {
  return text.replace(/\$(\$\{)|\$\{([^}:]*)(?::([^}]*))?\}/g, (whole, escaped: string | undefined, name: string, argument) => {
    if (escaped !== undefined) return escaped
    const value = Object.hasOwn(values, name) ? values[name] : undefined
    const filled = typeof value === 'function' ? value(argument ?? '') : argument === undefined ? value : undefined
    if (filled !== undefined) return filled
    const known = Object.entries(values).map(([key, held]) => (typeof held === 'function' ? `\${${key}:…}` : `\${${key}}`))
    throw new WeftError('invalid_argument', `${whole} has no value`, { where, hint: `known are ${known.join(', ')}` })
  })
}
