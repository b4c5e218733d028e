import { setTimeout as delay } from 'node:timers/promises'
import { WeftError } from '@weft/service/errors'
import { exitCodes } from '../exit-codes.ts'
import { processStartedAt, requireMesh, stateFolder } from '../mesh/state.ts'
import type { Terminal } from '../terminal.ts'

const stopTimeoutMs = 30_000

/** `weft down`: stops the mesh that runs from a state folder, and waits until it is gone. */
export async function down(options: { stateDir?: string }, terminal: Terminal): Promise<number> {
  const folder = stateFolder(options.stateDir)
  const mesh = requireMesh(folder)
  process.kill(mesh.pid, 'SIGTERM')
  const deadline = performance.now() + stopTimeoutMs
  while (processStartedAt(mesh.pid) === mesh.pidStartedAt) {
    if (performance.now() > deadline) {
      throw new WeftError('deadline_exceeded', `the mesh (pid ${mesh.pid}) did not stop within ${stopTimeoutMs / 1000} s`, {
        hint: `kill -9 ${mesh.pid} ends it with all its processes`,
      })
    }
    await delay(50)
  }
  terminal.tell('stopped')
  return exitCodes.ok
}
