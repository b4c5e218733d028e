import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { until } from '@weft/service/testing/until'

/** A real Redis that a test can kill and start again at the same port. */
export interface RealRedis {
  readonly url: string
  kill(): Promise<void>
  restart(): Promise<void>
}

/** Starts Redis in memory; undefined where there is no redis-server on the PATH. */
export async function startRealRedis(): Promise<RealRedis | undefined> {
  if (spawnSync('redis-server', ['--version']).error !== undefined) return undefined
  const port = await freePort()
  let process: ChildProcess | undefined
  const restart = async (): Promise<void> => {
    const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()]
    process = spawn('redis-server', options, { stdio: 'ignore' })
    await until(() => accepts(port), 'Redis to listen')
  }
  await restart()
  return {
    url: `redis://127.0.0.1:${port}`,
    async kill() {
      if (process === undefined || process.exitCode !== null || process.signalCode !== null) return
      const exited = once(process, 'exit')
      process.kill('SIGKILL')
      await exited
    },
    restart,
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
