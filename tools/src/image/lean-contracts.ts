/**
 * What of the generated contracts an app can reach. A proxy's text is mostly theirs, and Node keeps the text and an object for each function in
 * every thread.
 */

/** What goes from a message where nobody calls it. */
const removable = new Set(['encode', 'decode', 'create', 'fromPartial'])

/** A message's object in generated code whose types are stripped, and a method of it. */
const messageBlock = /^export const (\w+) = \{\n {2}encode\([\s\S]*?^\};\n/gm
const methodBlock = /^ {2}(\w+)\([\s\S]*?^ {2}\},?\n/gm
/** A name with one of its properties; and one that is handed on whole: not in a text's midst, and nothing that is called. */
const property = /\b([A-Z]\w*)\s*\.\s*(\w+)/g
const whole = /(?<!(?<!\.\.)\.|[\w"'`])([A-Z]\w*)(?=\s*[),;\]}:?&|])/g
const imports = /^import\b[^;]*;\n/gm

/**
 * The contracts (JavaScript by file, a line break behind each statement) without the methods of messages that neither the app's `text` nor what it calls of them
 * reaches. A message that the text names without one of its methods may be used as a whole. Messages of one name are taken as one.
 */
export function withoutUnreached(text: string, contracts: ReadonlyMap<string, string>): Map<string, string> {
  const callsOf = new Map<string, string[]>()
  const waiting = calls(text, originals(text))
  for (const code of contracts.values()) {
    const names = originals(code)
    const rest = code.replaceAll(messageBlock, (block, message: string) =>
      withoutMethods(block, (method, body) => {
        const key = `${message}.${method}`
        callsOf.set(key, [...(callsOf.get(key) ?? []), ...calls(body.slice(body.indexOf('{')), names)])
        return true
      }).replace(`const ${message} =`, ''),
    )
    waiting.push(...calls(rest, names))
  }
  const reached = new Set<string>()
  for (let call = waiting.pop(); call !== undefined; call = waiting.pop()) {
    if (reached.has(call)) continue
    reached.add(call)
    waiting.push(...(callsOf.get(call) ?? []))
  }
  const lean = (code: string): string =>
    code.replaceAll(messageBlock, (block, message: string) =>
      withoutMethods(block, (method) => !reached.has(`${message}.${method}`)),
    )
  return new Map([...contracts].map(([file, code]) => [file, lean(code)]))
}

function withoutMethods(block: string, goes: (method: string, body: string) => boolean): string {
  return block.replaceAll(methodBlock, (body, method: string) => (removable.has(method) && goes(method, body) ? '' : body))
}

/** What else a text's names may stand for: its files import by names of their own. */
function originals(code: string): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const [, name = '', alias = ''] of code.matchAll(/\b(\w+) as (\w+)\b/g))
    found.set(alias, [...(found.get(alias) ?? []), name])
  return found
}

/** `Message.method` for each that a text may call. */
function calls(code: string, names: ReadonlyMap<string, readonly string[]>): string[] {
  const text = code.replaceAll(imports, '')
  const all = (name = ''): string[] => [name, ...(names.get(name) ?? [])]
  return [
    ...[...text.matchAll(property)].flatMap(([, name, method]) => all(name).map((one) => `${one}.${method}`)),
    ...[...text.matchAll(whole)].flatMap(([, name]) =>
      all(name).flatMap((one) => [...removable].map((method) => `${one}.${method}`)),
    ),
  ]
}
