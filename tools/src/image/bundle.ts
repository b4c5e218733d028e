/**
 * `node tools/src/image/bundle.ts APP [FOLDER]`: an app as few files of JavaScript, for its image: all it imports is put
 * into chunks, and what it finds by path (worker, descriptors, default configuration) stands where it stands in the
 * repository, so that the same code runs from both. Default folder: dist/APP.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Metafile, type Plugin } from 'esbuild'
import { withoutUnreached } from './lean-contracts.ts'

export const root = join(import.meta.dirname, '../../..')

interface AppBundle {
  /** Modules that are started or imported by path. */
  entries: string[]
  /** Files and folders that the code reads at run time. */
  assets: string[]
  /** Packages that stay packages: native code, and what a user's own files may import. */
  packages: string[]
}

const descriptors = 'libs/contracts/gen/descriptors.binpb'
const istioDescriptors = 'libs/contracts/gen/istio-descriptors.binpb'

const apps: Record<string, AppBundle> = {
  proxy: {
    entries: ['apps/proxy/src/main.ts', 'apps/proxy/src/worker-thread.ts'],
    assets: [descriptors],
    packages: ['koffi', 're2js'],
  },
  pilot: { entries: ['apps/pilot/src/main.ts'], assets: [istioDescriptors, descriptors], packages: [] },
  mixer: {
    entries: ['apps/mixer/src/main.ts', 'apps/mixer/src/adapter.ts'],
    assets: ['apps/mixer/config', istioDescriptors],
    packages: ['zod'],
  },
  citadel: { entries: ['apps/citadel/src/main.ts'], assets: [], packages: [] },
  weft: { entries: ['apps/weft/src/main.ts'], assets: [istioDescriptors], packages: [] },
  bookinfo: {
    entries: ['productpage', 'details', 'reviews', 'ratings'].map((name) => `apps/bookinfo/src/${name}/main.ts`),
    assets: [],
    packages: [],
  },
}

/** Bundles an app into a folder, which is emptied first. Gives the files that it was made of, from the repository's root. */
export async function bundleApp(name: string, folder: string): Promise<string[]> {
  const app = Object.hasOwn(apps, name) ? apps[name] : undefined
  if (app === undefined) throw new Error(`there is no app '${name}'; there are ${Object.keys(apps).join(', ')}`)
  rmSync(folder, { recursive: true, force: true })
  const { metafile } = await build({
    metafile: true,
    absWorkingDir: root,
    entryPoints: app.entries,
    outbase: '.',
    outdir: folder,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: app.packages,
    minifySyntax: true,
    // Node keeps the text of what it runs, in every thread.
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'error',
    chunkNames: 'chunks/[hash]',
    // What was CommonJS asks for Node's own modules by require.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    plugins: [leanContracts(app.entries), keepPaths(), namedExports(), plainHttp()],
  })
  dropIdleImports(metafile)
  // The sources name each other by .ts: a file of that name hands on to the bundled one.
  for (const entry of app.entries.slice(1)) {
    const bundled = `./${entry.split('/').at(-1)?.replace(/\.ts$/, '.js')}`
    writeFileSync(join(folder, entry), `export * from '${bundled}'\n`)
  }
  for (const asset of app.assets) cpSync(join(root, asset), join(folder, asset), { recursive: true })
  for (const name of app.packages) copyPackage(name, folder)
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ type: 'module', license: 'Apache-2.0' })}\n`)
  const makers = ['bundle.ts', 'lean-contracts.ts'].map((file) => relative(root, join(import.meta.dirname, file)))
  return [...Object.keys(metafile.inputs), ...app.assets, ...makers]
}

/**
 * Chunks import all that others reach through them, for what loading it might do. A chunk of CommonJS packages does nothing until one of
 * them is asked for: whoever takes no name of it does not need it. The gRPC library is 0.6 MiB of text in every thread.
 */
function dropIdleImports({ inputs, outputs }: Metafile): void {
  const idle = Object.entries(outputs).filter(([, { inputs: parts }]) => {
    const names = Object.keys(parts)
    return names.length > 0 && names.every((name) => inputs[name]?.format !== 'esm')
  })
  const files = new Set(idle.map(([path]) => basename(path)))
  for (const path of Object.keys(outputs)) {
    const file = resolve(root, path)
    const code = readFileSync(file, 'utf8')
    const lean = code.replaceAll(/import"([^"]+)";/g, (whole, from: string) => (files.has(basename(from)) ? '' : whole))
    if (lean !== code) writeFileSync(file, lean)
  }
}

/**
 * Chunks lie elsewhere than their sources: `import.meta.url` and `import.meta.dirname` are made to name the place that the source has in
 * the repository, below the bundle's folder.
 */
function keepPaths(): Plugin {
  return {
    name: 'keep-paths',
    setup(build) {
      build.onLoad({ filter: /\/(apps|libs)\/.*\.ts$/ }, ({ path }) => {
        const source = readFileSync(path, 'utf8')
        if (!/import\.meta\.(url|dirname|filename)/.test(source)) return undefined
        const place = relative(root, path)
        const url = `new URL(${JSON.stringify(place)}, __bundleRoot)`
        const contents = source
          // A worker is started from what is bundled: by its .ts it would load Node's type stripper, 0.1 s and 30 MiB.
          .replaceAll(/(new URL\('[^']+\.)ts(', import\.meta\.url\))/g, '$1js$2')
          .replaceAll('import.meta.url', `${url}.href`)
          .replaceAll('import.meta.dirname', `__pathOf(new URL('.', ${url}))`)
          .replaceAll('import.meta.filename', `__pathOf(${url})`)
        return { contents: `${bundleRoot}${contents}`, loader: 'ts' }
      })
    },
  }
}

/**
 * Contracts make a gRPC client's class beside a service's messages. Where nobody uses it, it goes, and the gRPC library with it:
 * 50 ms of CPU in every thread. So do methods of messages that the app does not reach. And names inside their functions become short: of
 * generated code nobody reads a stack, and it is most of a proxy's text.
 */
function leanContracts(entries: readonly string[]): Plugin {
  return {
    name: 'lean-contracts',
    setup(build) {
      let contracts = new Map<string, string>()
      build.onStart(async () => {
        const sources = await sourcesOf(entries)
        const text = [...sources].flatMap(([path, code]) => (generated.test(path) ? [] : [code])).join('\n')
        contracts = withoutUnreached(text, new Map([...sources].filter(([path]) => generated.test(path))))
      })
      build.onLoad({ filter: generated }, async ({ path }) => {
        const code = contracts.get(path)
        if (code === undefined) return undefined
        const pure = code.replaceAll('makeGenericClientConstructor(', '/* @__PURE__ */ makeGenericClientConstructor(')
        return { contents: (await build.esbuild.transform(pure, { minifyIdentifiers: true })).code }
      })
      build.onResolve({ filter: /^@grpc\/grpc-js$/ }, async ({ kind, path, resolveDir, pluginData }) => {
        if (kind !== 'import-statement' || pluginData === 'resolved') return undefined
        const found = await build.resolve(path, { kind, resolveDir, pluginData: 'resolved' })
        return found.errors.length > 0 ? found : { path: found.path, sideEffects: false }
      })
    },
  }
}

const generated = /\/contracts\/gen\/.*\.ts$/

/** All sources of ours that are loaded from the entries, as JavaScript by path. */
async function sourcesOf(entries: readonly string[]): Promise<Map<string, string>> {
  const sources = new Map<string, string>()
  const collect: Plugin = {
    name: 'collect-sources',
    setup(build) {
      build.onResolve({ filter: /^[a-z@]/ }, ({ kind, path }) =>
        kind === 'entry-point' || path.startsWith('@weft/') ? undefined : { path, external: true },
      )
      build.onLoad({ filter: /\/(apps|libs)\/.*\.ts$/ }, async ({ path }) => {
        const { code } = await build.esbuild.transform(readFileSync(path, 'utf8'), { loader: 'ts' })
        sources.set(path, code)
        return { contents: code }
      })
    },
  }
  const entryPoints = [...entries]
  await build({ absWorkingDir: root, entryPoints, outdir: '.', write: false, bundle: true, format: 'esm', plugins: [collect] })
  return sources
}

/**
 * What is imported when it is needed has the names that Node would give it: of a CommonJS package esbuild alone would give the
 * default only.
 */
function namedExports(): Plugin {
  return {
    name: 'named-exports',
    setup(build) {
      build.onResolve({ filter: /^[a-z@][^:]*$/ }, ({ kind, path, resolveDir }) => {
        const external = kind !== 'dynamic-import' || path.startsWith('@weft/') || isBuiltin(path)
        return external ? undefined : { path, namespace: 'named-exports', pluginData: resolveDir }
      })
      build.onLoad({ filter: /.*/, namespace: 'named-exports' }, async ({ path, pluginData }) => {
        const resolveDir = String(pluginData)
        const url = pathToFileURL(createRequire(join(resolveDir, 'x.js')).resolve(path)).href
        const names = Object.keys((await import(url)) as Record<string, unknown>).filter((name) =>
          /^[A-Za-z_$][\w$]*$/.test(name),
        )
        return { contents: `export { ${names.join(', ')} } from ${JSON.stringify(path)}`, resolveDir }
      })
    },
  }
}

/**
 * `node:http` by require: importing it makes Node read all its exports, one of which loads a whole HTTP client (undici) that
 * nobody asked for: 30 ms of CPU in every thread.
 */
function plainHttp(): Plugin {
  return {
    name: 'plain-http',
    setup(build) {
      build.onResolve({ filter: /^(node:)?http$/ }, ({ kind }) =>
        kind === 'import-statement' || kind === 'dynamic-import' ? { path: 'node:http', namespace: 'plain-http' } : undefined,
      )
      build.onLoad({ filter: /.*/, namespace: 'plain-http' }, () => ({ contents: "module.exports = require('node:http')" }))
    },
  }
}

/** The bundle's folder: the nearest one above this chunk that holds its package.json. */
const bundleRoot = `
import { existsSync as __exists } from 'node:fs'
import { fileURLToPath as __pathOf } from 'node:url'
var __bundleRoot = (() => { let at = new URL('.', import.meta.url); while (!__exists(new URL('package.json', at)) && at.pathname !== '/') at = new URL('..', at); return at })()
`

/** What a package has that its code does not load: folders, and sources of native code. */
const unneeded = /\/(doc|docs|test|vendor)(\/|$)|\.(c|cc|cpp|h|hh|hpp|inc|asm|S|md|[cm]?ts)$/

/** Copies a package with those it needs, optional ones where they are installed. */
function copyPackage(name: string, folder: string, from: string = root): void {
  const manifest = findManifest(name, from)
  if (manifest === undefined) return
  const target = join(folder, 'node_modules', name)
  if (existsSync(target)) return
  mkdirSync(dirname(target), { recursive: true })
  cpSync(dirname(manifest), target, {
    recursive: true,
    dereference: true,
    filter: (path) => !unneeded.test(path.slice(dirname(manifest).length)),
  })
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8')) as Record<
    string,
    Record<string, string>
  >
  for (const needed of Object.keys({ ...dependencies, ...optionalDependencies })) copyPackage(needed, folder, dirname(manifest))
}

function findManifest(name: string, from: string): string | undefined {
  for (const folder of createRequire(join(from, 'package.json')).resolve.paths(name) ?? []) {
    const manifest = join(folder, name, 'package.json')
    if (existsSync(manifest)) return manifest
  }
  return undefined
}

if (import.meta.main) {
  const [name = '', folder] = process.argv.slice(2)
  try {
    await bundleApp(name, resolve(folder ?? join(root, 'dist', name)))
  } catch (error) {
    console.error(`bundle: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  }
}
