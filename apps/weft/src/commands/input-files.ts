import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { WeftError } from '@weft/service/errors'

export interface InputFile {
  name: string
  content: string
}

const largestBytes = 16 << 20

/** What `-f` names: files, folders of YAML (not deeper), or `-` for standard input. */
export async function readInputFiles(
  paths: readonly string[],
  stdin: NodeJS.ReadableStream = process.stdin,
): Promise<InputFile[]> {
  const files: InputFile[] = []
  for (const path of paths) {
    if (path === '-') files.push({ name: '<stdin>', content: await text(stdin) })
    else for (const file of await expand(path)) files.push({ name: file, content: await readFile(file, 'utf8') })
  }
  const bytes = files.reduce((sum, { content }) => sum + content.length, 0)
  if (bytes > largestBytes) {
    throw new WeftError('resource_exhausted', `the files hold ${bytes} bytes, more than ${largestBytes}`, {
      hint: 'apply them in parts',
    })
  }
  return files
}

async function expand(path: string): Promise<string[]> {
  const about = await stat(path).catch((cause: unknown) => {
    throw new WeftError('not_found', 'there is no such file or folder', {
      where: { file: path },
      hint: 'name one with -f',
      cause,
    })
  })
  if (!about.isDirectory()) return [path]
  const files = (await readdir(path)).filter((name) => /\.(ya?ml|json)$/.test(name)).sort()
  if (files.length === 0) throw new WeftError('not_found', 'the folder holds no YAML', { where: { file: path } })
  return files.map((name) => join(path, name))
}
