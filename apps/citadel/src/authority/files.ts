import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { WeftError } from '@weft/service/errors'

/** Modes of what Citadel writes: secrets are the owner's alone. */
export const fileMode = { secret: 0o600, public: 0o644 } as const

/**
 * Writes a file so that a reader sees the old content or the new, never a part, and so that it survives a crash: a
 * temporary file beside it, synced, then renamed over it.
 */
export async function writeFileAtomically(path: string, content: string, mode: number): Promise<void> {
  const folder = dirname(path)
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  try {
    await mkdir(folder, { recursive: true })
    const file = await open(temporary, 'wx', mode)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (cause) {
    await unlink(temporary).catch(() => undefined)
    throw new WeftError('failed_precondition', `cannot write: ${WeftError.from(cause).message}`, {
      where: { file: path },
      hint: 'give the user that runs Citadel the right to write there',
      cause,
    })
  }
}

/** Reads a text file; undefined when it does not exist. */
export async function readFileIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new WeftError('failed_precondition', `cannot read: ${WeftError.from(cause).message}`, { where: { file: path }, cause })
  }
}

/**
 * Reads a secret; one that group or others can read gets its mode put right, where that can be done (a mounted secret is as its
 * platform made it). Undefined when it does not exist.
 */
export async function readSecretIfThere(path: string): Promise<string | undefined> {
  const content = await readFileIfThere(path)
  if (content !== undefined && ((await stat(path)).mode & 0o077) !== 0) {
    await chmod(path, fileMode.secret).catch(() => undefined)
  }
  return content
}

/** The folder of Citadel's state, made with rights for its owner alone. */
export async function openDataDir(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new WeftError('failed_precondition', `cannot make the data folder: ${WeftError.from(cause).message}`, {
      where: { file: path },
      hint: 'choose another with --data-dir',
      cause,
    })
  }
}
