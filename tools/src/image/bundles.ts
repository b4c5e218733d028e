/**
 * `node tools/src/image/bundles.ts [FOLDER]`: the bundles that `weft up` starts a mesh from, made anew where a source has
 * changed since. Prints their folders as one line of JSON, by app. Default folder: .cache/weft/bundles. Run on
 * install, so that the first start is as fast as the others; a failure is told and ends with code 0, since everything also runs
 * from its sources.
 */
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'

const root = join(import.meta.dirname, '../../..')
const apps = ['proxy', 'pilot', 'mixer', 'citadel']
/** Older bundles stay a while: a mesh that runs may load a part of its own later. */
const keptVersions = 4

/** The folder of an app's bundle, made now if there is none of the sources as they stand. */
async function currentBundle(app: string, folder: string): Promise<string> {
  const home = join(folder, app)
  mkdirSync(home, { recursive: true })
  const inputsFile = join(home, 'inputs.json')
  const known = existsSync(inputsFile) ? (JSON.parse(readFileSync(inputsFile, 'utf8')) as string[]) : undefined
  const kept = known === undefined ? undefined : join(home, signature(known))
  if (kept !== undefined && existsSync(kept)) return kept
  const { bundleApp } = await import('./bundle.ts')
  const fresh = join(home, `making-${process.pid}`)
  try {
    const inputs = await bundleApp(app, fresh)
    const target = join(home, signature(inputs))
    rmSync(target, { recursive: true, force: true })
    renameSync(fresh, target)
    writeFileSync(`${inputsFile}.${process.pid}`, JSON.stringify(inputs))
    renameSync(`${inputsFile}.${process.pid}`, inputsFile)
    const now = new Date()
    utimesSync(target, now, now)
    removeOld(home)
    return target
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

/** Changes when any of the files does. */
function signature(inputs: readonly string[]): string {
  const hash = createHash('sha256')
  for (const input of inputs) {
    const about = statSync(join(root, input), { throwIfNoEntry: false })
    hash.update(`${input} ${about?.size} ${about?.mtimeMs}\n`)
  }
  return hash.digest('hex').slice(0, 20)
}

function removeOld(home: string): void {
  const versions = readdirSync(home)
    .filter((name) => /^[0-9a-f]{20}$/.test(name))
    .map((name) => ({ path: join(home, name), madeMs: statSync(join(home, name)).mtimeMs }))
    .sort((one, other) => other.madeMs - one.madeMs)
  for (const { path } of versions.slice(keptVersions)) rmSync(path, { recursive: true, force: true })
}

const folder = resolve(process.argv[2] ?? join(root, '.cache/weft/bundles'))
const made = await Promise.all(
  apps.map(async (app) => {
    try {
      return [[app, await currentBundle(app, folder)] as const]
    } catch (error) {
      console.error(
        `bundles: ${app} is run from its sources: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
      )
      return []
    }
  }),
)
console.log(JSON.stringify(Object.fromEntries(made.flat())))
