import { createWriteStream, type WriteStream } from 'node:fs'
import { readdir, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { WeftError } from '@weft/service/errors'
import type { HandlerEnvironment } from '../../adapter.ts'
import type { StdioConfig } from './config.ts'

/** Lines that may wait for a slow reader, in bytes; further ones are dropped and counted. */
const MAX_WAITING_BYTES = 16 << 20
const BYTES_PER_MEGABYTE = 1 << 20
const MS_PER_DAY = 86_400_000

export interface Sink {
  /** Writes one line. Throws `resource_exhausted` when more lines wait than may. */
  write(line: string): void
  close(): Promise<void>
}

/** Opens what a handler writes to. */
export async function openSink(config: StdioConfig, handler: HandlerEnvironment): Promise<Sink> {
  switch (config.logStream) {
    case 'STDOUT':
      return { write: (line) => writeBounded(process.stdout, line), close: async () => {} }
    case 'STDERR':
      return { write: (line) => writeBounded(process.stderr, line), close: async () => {} }
    case 'FILE':
      return openFile(config, handler, false)
    case 'ROTATED_FILE':
      return openFile(config, handler, true)
  }
}

function writeBounded(stream: Writable, line: string): void {
  if (stream.writableLength > MAX_WAITING_BYTES) {
    throw new WeftError('resource_exhausted', 'log entries come faster than they can be written; this one is dropped')
  }
  stream.write(line)
}

async function openFile(config: StdioConfig, handler: HandlerEnvironment, rotate: boolean): Promise<Sink> {
  const path = config.outputPath
  let stream = await openStream(path, handler)
  let sizeBytes = (await stat(path)).size
  let openedMs = Date.now()
  let rotation: Promise<void> | undefined

  const turn = async (): Promise<void> => {
    const old = stream
    try {
      await rename(path, `${path}.${new Date().toISOString().replaceAll(':', '-')}`)
      stream = await openStream(path, handler)
      sizeBytes = 0
      openedMs = Date.now()
      old.end()
      await removeOldest(path, config.maxRotatedFiles)
    } catch (error) {
      handler.logger.error({ handler: handler.name, err: error }, 'log file cannot be rotated')
    } finally {
      rotation = undefined
    }
  }
  return {
    write(line) {
      writeBounded(stream, line)
      sizeBytes += Buffer.byteLength(line)
      const full = sizeBytes >= config.maxMegabytesBeforeRotation * BYTES_PER_MEGABYTE
      const aged = Date.now() - openedMs >= config.maxDaysBeforeRotation * MS_PER_DAY
      if (rotate && rotation === undefined && (full || aged)) rotation = turn()
    },
    async close() {
      await rotation
      await new Promise<void>((resolve) => stream.end(resolve))
    },
  }
}

async function openStream(path: string, handler: HandlerEnvironment): Promise<WriteStream> {
  const stream = createWriteStream(path, { flags: 'a' })
  await new Promise<void>((resolve, reject) => {
    stream.once('open', () => resolve())
    stream.once('error', (cause) => {
      reject(
        new WeftError('failed_precondition', `cannot write to ${path}: ${cause.message}`, { hint: 'change outputPath', cause }),
      )
    })
  })
  stream.on('error', (cause) =>
    handler.health(new WeftError('unavailable', `cannot write to ${path}: ${cause.message}`, { cause })),
  )
  return stream
}

async function removeOldest(path: string, keep: number): Promise<void> {
  const names = await readdir(dirname(path))
  const rotated = names.filter((name) => name.startsWith(`${basename(path)}.`)).sort()
  for (const name of rotated.slice(0, Math.max(0, rotated.length - keep))) await unlink(join(dirname(path), name))
}
