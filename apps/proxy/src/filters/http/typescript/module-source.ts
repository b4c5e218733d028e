import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { registerHooks, stripTypeScriptTypes } from 'node:module'
import { basename, dirname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { constants, Script } from 'node:vm'
import type { HttpFilterDefinition } from '../../../filter.ts'

/** Where a filter's code is. */
export type CodePlace = { type: 'file'; path: string } | { type: 'inline'; code: string }

export type Definition = HttpFilterDefinition<unknown>

/** The module of `@weft/proxy/filter`, for filters that stand anywhere. */
const apiUrl = 'data:text/javascript,export const httpFilter = (definition) => definition'
const inlineScheme = 'weft-filter:'
const inline = new Map<string, string>()
let loads = 0
let hooked = false

/** Throws for code that cannot be read or is no TypeScript that types can be taken out of. */
export function checkCode(place: CodePlace): void {
  stripTypeScriptTypes(place.type === 'inline' ? place.code : readFileSync(place.path, 'utf8'), { mode: 'strip' })
}

/** Loads a filter's module anew; throws when it cannot be loaded, or exports no filter. */
export async function loadDefinition(place: CodePlace): Promise<Definition> {
  hookModules()
  loads++
  let url: string
  if (place.type === 'file') url = `${pathToFileURL(resolve(place.path)).href}?load=${loads}`
  else {
    url = `${inlineScheme}${loads}`
    inline.set(url, place.code)
  }
  try {
    const loaded = await load(url)
    return definitionOf(loaded.default)
  } finally {
    inline.delete(url)
  }
}

/** Node's own `import`, also where a test runner or a bundler has put another in its place. */
function load(url: string): Promise<{ default?: unknown }> {
  const importModuleDynamically = constants.USE_MAIN_CONTEXT_DEFAULT_LOADER
  return new Script(`import(${JSON.stringify(url)})`, { importModuleDynamically }).runInThisContext()
}

const functions = ['onRequest', 'onRequestBody', 'onResponse', 'onResponseBody'] as const

function definitionOf(exported: unknown): Definition {
  if (typeof exported !== 'object' || exported === null) throw new TypeError('the module has no filter as its default export')
  const known = new Set<string>(functions)
  const given = Object.entries(exported)
  for (const [name, value] of given) {
    if (!known.has(name)) throw new TypeError(`a filter has no '${name}'; there are ${functions.join(', ')}`)
    if (typeof value !== 'function') throw new TypeError(`'${name}' of the filter is no function`)
  }
  if (given.length === 0) throw new TypeError(`the filter has none of ${functions.join(', ')}`)
  return exported
}

/** Has Node find our module from anywhere, and take types out of what filters are made of, whatever it was started with. */
function hookModules(): void {
  if (hooked) return
  hooked = true
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier === '@weft/proxy/filter') return { url: apiUrl, shortCircuit: true }
      if (specifier.startsWith(inlineScheme)) return { url: specifier, shortCircuit: true }
      return next(specifier, context)
    },
    load(url, context, next) {
      const path = url.startsWith('file:') ? fileURLToPath(url) : ''
      const code = inline.get(url) ?? (/\.m?ts$/.test(path) ? readFileSync(path, 'utf8') : undefined)
      if (code === undefined) return next(url, context)
      return { format: 'module', source: stripTypeScriptTypes(code, { mode: 'strip', sourceUrl: url }), shortCircuit: true }
    },
  })
}

/** Tells of a file that has other content than before, also where it is a link that leads elsewhere; `close` ends it. */
export function watchCode(path: string, changed: () => void): { close(): void } {
  let content = contentOf(path)
  let timer: NodeJS.Timeout | null = null
  // The folder, as editors and Kubernetes put a new file in the old one's place.
  const watcher: FSWatcher = watch(dirname(resolve(path)), { persistent: false }, () => {
    timer ??= setTimeout(() => {
      timer = null
      const now = contentOf(path)
      if (now === null || now === content) return
      content = now
      changed()
    }, 50).unref()
  })
  watcher.on('error', () => {})
  return {
    close() {
      if (timer !== null) clearTimeout(timer)
      watcher.close()
    },
  }
}

function contentOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** The file's name, for messages. */
export function placeName(place: CodePlace): string {
  return place.type === 'file' ? basename(place.path) : 'inline code'
}
