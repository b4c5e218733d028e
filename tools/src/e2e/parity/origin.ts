import { createServer, type Server, type Socket } from 'node:net'
import { freePort } from '../../processes.ts'
import type { OriginAnswer, OriginScript } from './case.ts'
import { cutMessages, type WireMessage } from './message-reader.ts'

/** An upstream over raw sockets: does what its script says, and keeps what it saw. */
export interface Origin {
  readonly port: number
  readonly seen: WireMessage[]
  readonly connections: number
  close(): void
}

export async function startOrigin(name: string, script: OriginScript): Promise<Origin> {
  const state = { connections: 0, served: 0 }
  const seen: WireMessage[] = []
  const sockets = new Set<Socket>()
  if (script.down === true) return { port: await freePort(), seen, connections: 0, close: () => {} }
  const next = (message: WireMessage): OriginAnswer => {
    if (script.choose !== undefined) return script.choose(message)
    const answers = script.answers ?? [{}]
    return answers[Math.min(state.served++, answers.length - 1)] ?? {}
  }
  const server = createServer((socket) => {
    state.connections++
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    if (script.onConnect === 'close') return void socket.end()
    // Not at once: what is reset while it is being accepted may look as if it was never accepted.
    if (script.onConnect === 'reset') return void setTimeout(() => socket.resetAndDestroy(), 30)
    if (script.readNothing === true) return void socket.pause()
    serve(socket, name, next, seen)
  })
  const port = await listen(server)
  return {
    port,
    seen,
    get connections() {
      return state.connections
    },
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the origin has no port')
  return address.port
}

function serve(socket: Socket, name: string, next: (message: WireMessage) => OriginAnswer, seen: WireMessage[]): void {
  let bytes = ''
  let current: { message: WireMessage; answer: OriginAnswer; answered: boolean } | undefined
  let raw = false
  socket.on('data', (data: Buffer) => {
    bytes += data.toString('latin1')
    if (raw) {
      // A tunnel: what comes goes back.
      socket.write(bytes, 'latin1')
      bytes = ''
      return
    }
    for (;;) {
      const { messages, rest } = cutMessages(bytes, () => false, false, false, 1)
      const message = messages[0]
      if (message === undefined) return
      if (current === undefined) {
        current = { message, answer: next(message), answered: false }
        seen.push(message)
      } else Object.assign(current.message, message)
      if (current.answer.early === true && !current.answered) {
        current.answered = true
        void reply(socket, name, current.message, current.answer)
      }
      if (!message.complete) return
      const { answered, answer, message: whole } = current
      current = undefined
      if (answer.status === 101) raw = true
      bytes = rest
      if (!answered) void reply(socket, name, whole, answer)
      if (bytes === '') return
    }
  })
}

async function reply(socket: Socket, name: string, message: WireMessage, answer: OriginAnswer): Promise<void> {
  if (answer.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, answer.delayMs))
  const after = answer.after ?? 'keep'
  const finish = (): void => {
    if (after === 'close') socket.end()
    if (after === 'reset') socket.resetAndDestroy()
  }
  if (after === 'silence' && answer.raw === undefined) return
  if (answer.raw !== undefined) {
    // A reset has to come behind the bytes, not in their place.
    if (answer.raw === '') return finish()
    socket.write(answer.raw, 'latin1', () => setTimeout(finish, 50))
    return
  }
  const [method = '', target = ''] = message.start.split(' ')
  const status = answer.status ?? 200
  const body = answer.body ?? `${name} ${method} ${target}`
  const bodiless = method === 'HEAD' || status === 204 || status === 304 || status < 200
  const lines = [`HTTP/1.1 ${status} Whatever`, ...(answer.headers ?? []).map(([key, value]) => `${key}: ${value}`)]
  if (answer.chunks !== undefined) {
    socket.write(`${[...lines, 'transfer-encoding: chunked'].join('\r\n')}\r\n\r\n`, 'latin1')
    for (const chunk of answer.chunks) {
      if (answer.chunkDelayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, answer.chunkDelayMs))
      if (socket.destroyed) return
      socket.write(`${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`, 'latin1')
    }
    const trailers = (answer.trailers ?? []).map(([key, value]) => `${key}: ${value}\r\n`).join('')
    if (after === 'keep' || after === 'close') socket.write(`0\r\n${trailers}\r\n`, 'latin1')
    return setTimeout(finish, 50) && undefined
  }
  if (status >= 200 && status !== 204 && !(answer.headers ?? []).some(([key]) => key.toLowerCase() === 'content-length'))
    lines.push(`content-length: ${Buffer.byteLength(body)}`)
  socket.write(`${lines.join('\r\n')}\r\n\r\n${bodiless ? '' : body}`, 'latin1', finish)
}
