import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { WeftError } from '@weft/service/errors'
import { exitCodes } from '../exit-codes.ts'
import { meshFiles } from '../mesh/processes.ts'
import { runningMesh, stateFolder } from '../mesh/state.ts'
import type { Terminal } from '../terminal.ts'

export interface LogsOptions {
  stateDir?: string
  lines: number
  follow: boolean
}

const pollMs = 200
const blockBytes = 64 * 1024
/** At most this much of a file is looked at for its last lines. */
const mostTailBytes = 16 << 20

/** `weft logs NAME`: the last lines of a process's log, of a stopped mesh too; `--follow` goes on with what comes. */
export async function logs(name: string, options: LogsOptions, terminal: Terminal): Promise<number> {
  const folder = stateFolder(options.stateDir)
  const file = `${meshFiles(folder).logs}/${name}.log`
  if (!/^[-.a-z0-9]+$/.test(name) || !existsSync(file)) {
    const known = runningMesh(folder)?.parts.map((part) => part.name)
    throw new WeftError('not_found', `there is no log of '${name}' in ${meshFiles(folder).logs}`, {
      hint: known === undefined ? 'start a mesh with weft up' : `there are ${known.join(', ')}`,
    })
  }
  const { text, end } = tail(file, options.lines)
  if (text !== '') terminal.print(text)
  if (options.follow) await follow(file, end, terminal)
  return exitCodes.ok
}

function tail(file: string, lines: number): { text: string; end: number } {
  const handle = openSync(file, 'r')
  try {
    const end = fstatSync(handle).size
    let start = end
    let content = Buffer.alloc(0)
    while (start > 0 && end - start < mostTailBytes && countLines(content) <= lines) {
      const length = Math.min(blockBytes, start)
      const block = Buffer.alloc(length)
      start -= length
      readSync(handle, block, 0, length, start)
      content = Buffer.concat([block, content])
    }
    const all = content.toString('utf8').replace(/\n$/, '').split('\n')
    return { text: lines === 0 ? '' : all.slice(-lines).join('\n'), end }
  } finally {
    closeSync(handle)
  }
}

function countLines(content: Buffer): number {
  let count = 0
  for (const byte of content) if (byte === 10) count++
  return count
}

/** Prints what is appended until the process is interrupted; a file that became shorter has been begun anew. */
async function follow(file: string, from: number, terminal: Terminal): Promise<void> {
  let position = from
  let rest = ''
  for (;;) {
    await delay(pollMs)
    const size = existsSync(file) ? statSync(file).size : position
    if (size < position) position = 0
    if (size === position) continue
    const handle = openSync(file, 'r')
    try {
      const block = Buffer.alloc(Math.min(size - position, 1 << 20))
      position += readSync(handle, block, 0, block.length, position)
      const parts = (rest + block.toString('utf8')).split('\n')
      rest = parts.pop() ?? ''
      for (const line of parts) terminal.print(line)
    } finally {
      closeSync(handle)
    }
  }
}
