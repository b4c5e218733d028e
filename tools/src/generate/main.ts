/**
 * Generates libs/contracts/gen from proto/ and from Envoy's v3 API (shipped inside `@grpc/grpc-js-xds`):
 * ts-proto messages and grpc-js services, and `descriptors.binpb`, the descriptor set that strict validation reads.
 * Does nothing when the inputs have not changed since the last run.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { additions } from './additions.ts'
import { contracts, deps, fingerprint, isGenerated, out, protoFiles, root, stamp } from './inputs.ts'
import { withAdditions } from './with-additions.ts'

/** Envoy files whose imports are not shipped, and which Weft does not speak. */
const leftOut = [
  'envoy/config/trace/v3/opencensus.proto',
  'envoy/config/trace/v3/trace.proto',
  'envoy/service/metrics/v3/metrics_service.proto',
  'envoy/service/trace/v3/trace_service.proto',
  'envoy/extensions/filters/http/grpc_field_extraction',
]

const options = [
  'outputServices=grpc-js',
  'importSuffix=.ts',
  'enumsAsLiterals=true',
  'oneof=unions-value',
  'esModuleInterop=true',
  'env=node',
  'outputJsonMethods=false',
  'useExactTypes=false',
  'snakeToCamel=keys',
]

/** What configuration files are read by: the same descriptors, of Istio's messages alone, which load ten times faster. */
const configurationSet = ['build', '.', '--as-file-descriptor-set', '--exclude-source-info'].concat(
  ['networking', 'security', 'telemetry', 'mesh', 'type'].flatMap((folder) => ['--path', `istio/${folder}`]),
)

const run = promisify(execFile)

/** The part of the shipped API that v3 needs; the v2 files there are not whole. */
function wanted(path: string): boolean {
  if (path.startsWith('envoy/')) return /\/v3(alpha)?\/|^envoy\/annotations\//.test(path)
  if (path.startsWith('google/api/')) return /^google\/api\/(annotations|http|expr\/.*)\.proto$/.test(path)
  return true
}

async function assemble(workspace: string): Promise<void> {
  await mkdir(workspace, { recursive: true })
  for (const folder of ['googleapis', 'xds', 'envoy-api']) {
    for (const path of (await protoFiles(join(deps, folder))).filter(wanted))
      await cp(join(deps, folder, path), join(workspace, path))
  }
  for (const path of leftOut) await rm(join(workspace, path), { recursive: true, force: true })
  for (const file of new Set([...additions.fields, ...additions.changes].map(({ file }) => file))) {
    const path = join(workspace, file)
    await writeFile(path, withAdditions(file, await readFile(path, 'utf8')))
  }
  await cp(join(root, 'proto'), workspace, { recursive: true })
  await writeFile(join(workspace, 'buf.yaml'), 'version: v2\nmodules:\n  - path: .\n')
}

/** What ts-proto writes against 64-bit integers of more than 53 bits. */
const refusals = /\n {2}if \(num [<>] globalThis\.Number\.M(?:AX|IN)_SAFE_INTEGER\) \{\n.*\n {2}\}/g

/**
 * Integers of 64 bits are numbers here, and those of more than 53 the nearest ones: a range of all that there are is a range that
 * means something, and ts-proto would refuse the message that has it.
 */
async function takeWideIntegers(folder: string): Promise<void> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const { name, parentPath } of files.filter((file) => file.isFile() && file.name.endsWith('.ts'))) {
    const path = join(parentPath, name)
    const text = await readFile(path, 'utf8')
    if (refusals.test(text)) await writeFile(path, text.replaceAll(refusals, ''))
  }
}

async function main(): Promise<void> {
  if (await isGenerated()) return
  const made = await fingerprint()
  const started = performance.now()
  const workspace = join(contracts, `.gen-${process.pid}`)
  const fresh = join(workspace, 'gen')
  const source = join(workspace, 'proto')
  try {
    await assemble(source)
    await mkdir(fresh, { recursive: true })
    const bin = join(root, 'node_modules/.bin')
    await writeFile(
      join(source, 'buf.gen.yaml'),
      `version: v2\nplugins:\n  - local: ${JSON.stringify([process.execPath, join(bin, 'protoc-gen-ts_proto')])}\n    out: ${JSON.stringify(fresh)}\n    strategy: all\n    include_wkt: true\n    include_imports: true\n    opt: [${options.join(', ')}]\n`,
    )
    const at = { cwd: source, maxBuffer: 1 << 26, env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` } }
    await Promise.all([
      run(join(bin, 'buf'), ['generate', '.'], at),
      run(
        join(bin, 'buf'),
        ['build', '.', '--as-file-descriptor-set', '--exclude-source-info', '-o', join(fresh, 'descriptors.binpb')],
        at,
      ),
      run(join(bin, 'buf'), [...configurationSet, '-o', join(fresh, 'istio-descriptors.binpb')], at),
    ])
    await takeWideIntegers(fresh)
    await writeFile(join(fresh, stamp), made)
    // Both are renames, so that who imports these files meanwhile finds them.
    await rename(out, join(workspace, 'old')).catch(() => undefined)
    await rename(fresh, out)
  } finally {
    await rm(workspace, { recursive: true, force: true })
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`generated libs/contracts/gen in ${seconds} s`)
}

main().catch((error: unknown) => {
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
  console.error(`generate: ${stderr || String(error)}`)
  process.exitCode = 1
})
