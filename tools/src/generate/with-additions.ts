import { additions } from './additions.ts'

/** The text of a proto file with what is added to it. Throws when the place of an addition is not there. */
export function withAdditions(file: string, text: string, { fields, changes } = additions): string {
  let result = text
  for (const { file: changed, from, to } of changes) {
    if (changed !== file) continue
    if (!result.includes(from)) throw new Error(`${file} has no "${from}" to change`)
    result = result.replaceAll(from, to)
  }
  for (const addition of fields.filter((one) => one.file === file)) {
    for (const name of addition.imports ?? []) {
      const line = `import "${name}";`
      if (!result.includes(line)) result = result.replace(/^import /m, `${line}\nimport `)
    }
    const { into, lines } = addition
    if (into === undefined) {
      result += `\n${lines.join('\n')}\n`
      continue
    }
    let at = 0
    for (const declaration of into) {
      const found = new RegExp(`^ *${declaration} \\{$`, 'm').exec(result.slice(at))
      if (found === null) throw new Error(`${file} has no "${declaration} {" to add to`)
      at += found.index + found[0].length + 1
    }
    result = `${result.slice(0, at)}${lines.join('\n')}\n${result.slice(at)}`
  }
  return result
}
