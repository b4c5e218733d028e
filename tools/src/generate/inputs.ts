import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { additions } from './additions.ts'

export const root = join(import.meta.dirname, '../../..')
export const contracts = join(root, 'libs/contracts')
/** Where generated code is. */
export const out = join(contracts, 'gen')
/** The copy of Envoy's API that is shipped with gRPC. */
export const deps = join(
  dirname(createRequire(join(contracts, 'package.json')).resolve('@grpc/grpc-js-xds/package.json')),
  'deps',
)

/** The file, in generated code, that has the fingerprint of what it was made of. */
export const stamp = '.inputs'

/** Whether there is generated code, of the inputs as they are now. */
export async function isGenerated(): Promise<boolean> {
  return (await readFile(join(out, stamp), 'utf8').catch(() => '')) === (await fingerprint())
}

/** Every input of the generation, hashed: our protos, the versions of the tools and what generates. */
export async function fingerprint(): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(additions))
  for (const file of ['main.ts', 'with-additions.ts']) hash.update(await readFile(join(import.meta.dirname, file)))
  for (const file of await protoFiles(join(root, 'proto'))) hash.update(file).update(await readFile(join(root, 'proto', file)))
  const require = createRequire(join(root, 'package.json'))
  const fromContracts = createRequire(join(contracts, 'package.json'))
  for (const name of ['ts-proto', '@bufbuild/buf']) hash.update((require(`${name}/package.json`) as { version: string }).version)
  hash.update((fromContracts('@grpc/grpc-js-xds/package.json') as { version: string }).version)
  return hash.digest('hex')
}

/** The proto files of a folder and those in it, sorted, relative to it. */
export async function protoFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.proto'))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
}
