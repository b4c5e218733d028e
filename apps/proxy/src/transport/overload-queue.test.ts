import { once } from 'node:events'
import { Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { OverloadQueue } from './overload-queue.ts'

/** A process whose stop_accepting_connections is saturated until it is said not to be, and which draws nothing or all. */
function process({ overloaded = true, saturated = true, draws = false } = {}) {
  return { overloaded, isSaturated: saturated, saturated: () => state.isSaturated, draws: () => draws }
}
let state: ReturnType<typeof process>

const queues: OverloadQueue[] = []
afterEach(() => {
  for (const queue of queues.splice(0)) queue.close()
})

/** A queue whose connections come again to it. */
function queueOf(one: ReturnType<typeof process>): {
  admit(socket: Socket, most?: number): string
  again: Socket[]
  queue: OverloadQueue
} {
  state = one
  const again: Socket[] = []
  const queue = new OverloadQueue((socket) => again.push(socket))
  queues.push(queue)
  return { admit: (socket, most = 2) => queue.admit(socket, null, most, one), again, queue }
}

describe('connections to a process that is short of something', () => {
  it('are taken while it is not, and in part or not at all by what it draws', () => {
    expect(queueOf(process({ overloaded: false })).admit(new Socket())).toBe('now')
    expect(queueOf(process({ saturated: false })).admit(new Socket())).toBe('now')
    const socket = new Socket()
    expect(queueOf(process({ saturated: false, draws: true })).admit(socket)).toBe('never')
    expect(socket.destroyed).toBe(true)
  })

  it('wait until it has room, so many and no more, and those that left meanwhile are forgotten', async () => {
    const { admit, again } = queueOf(process())
    const [first, second, third, left] = [new Socket(), new Socket(), new Socket(), new Socket()]
    expect(admit(left)).toBe('later')
    left.destroy()
    await once(left, 'close')
    expect([admit(first), admit(second), admit(third)]).toEqual(['later', 'later', 'later'])
    expect([first, second, third].map(({ destroyed }) => destroyed)).toEqual([false, false, true])
    expect(again).toEqual([])
    state.isSaturated = false
    while (again.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(again).toEqual([first, second])
  })

  it('are closed with their listener', () => {
    const { admit, queue } = queueOf(process())
    const socket = new Socket()
    admit(socket)
    queue.close()
    expect(socket.destroyed).toBe(true)
  })
})
