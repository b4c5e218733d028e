import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findCommand } from '../peers.ts'
import { freePort, start, untilListening } from '../processes.ts'

export interface RunningRedis {
  url: string
  stop(): Promise<void>
}

/** A real Redis of the test's own, in memory; undefined where there is no redis-server. */
export async function startRedis(): Promise<RunningRedis | undefined> {
  const command = findCommand('redis-server')
  if (command === undefined) return undefined
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'weft-redis-'))
  const running = start([
    command,
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
  ])
  await untilListening(port, running)
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: async () => {
      await running.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
