import { once } from 'node:events'
import { createServer, connect as dial, type Server, type Socket } from 'node:net'

/** A TCP relay that can misbehave: what stands between a registry and its platform in the conformance suite. */
export interface Relay {
  readonly host: string
  readonly port: number
  /** Connections that are open now. */
  readonly open: number
  /** Connections that were tried since the start. */
  readonly tried: number
  /** Bytes that the registry sent since the start. */
  readonly sent: number
  /** Ends all connections at once; new ones are taken. */
  cut(): void
  /** From now on all connections are ended and refused, until `restore`. */
  refuse(): void
  /** From now on answers are held back, until `restore`. */
  hold(): void
  /** From now on each piece of an answer comes this much later, until `restore`. */
  slow(delayMs: number): void
  /** Lets this many more bytes of answers through, then cuts every connection, once. */
  cutAfter(bytes: number): void
  /** From now on connections get this text instead of the platform's answers, and are ended, until `restore`. */
  answer(text: string): void
  restore(): void
  close(): Promise<void>
}

type Mode = { type: 'pass' | 'hold' | 'refuse' } | { type: 'slow'; delayMs: number } | { type: 'answer'; text: string }

/** Opens a relay on a free port of loopback before a platform. */
export async function openRelay(target: { host: string; port: number }): Promise<Relay> {
  let mode: Mode = { type: 'pass' }
  let tried = 0
  let sent = 0
  let left = Number.POSITIVE_INFINITY
  const pairs = new Set<{ near: Socket; far: Socket; held: Buffer[] }>()
  const end = (): void => {
    for (const { near, far } of pairs) {
      near.destroy()
      far.destroy()
    }
  }
  const server: Server = createServer((near) => {
    tried += 1
    near.on('error', () => undefined)
    if (mode.type === 'refuse') return void near.destroy()
    if (mode.type === 'answer') {
      const { text } = mode
      near.once('data', () => near.end(text))
      return
    }
    const far = dial(target.port, target.host)
    const pair = { near, far, held: [] as Buffer[] }
    pairs.add(pair)
    const over = (): void => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    near.on('close', over)
    far.on('error', () => undefined).on('close', over)
    near.on('data', (chunk) => {
      sent += chunk.length
      far.write(chunk)
    })
    far.on('data', (chunk) => {
      if (mode.type === 'hold') return void pair.held.push(chunk)
      if (mode.type === 'slow') return void setTimeout(() => near.write(chunk), mode.delayMs)
      left -= chunk.length
      if (left > 0) return void near.write(chunk)
      near.write(chunk.subarray(0, chunk.length + left), () => end())
      left = Number.POSITIVE_INFINITY
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the relay has no port')
  return {
    host: '127.0.0.1',
    port: address.port,
    get open() {
      return pairs.size
    },
    get tried() {
      return tried
    },
    get sent() {
      return sent
    },
    cut: end,
    refuse() {
      mode = { type: 'refuse' }
      end()
    },
    hold() {
      mode = { type: 'hold' }
    },
    slow(delayMs) {
      mode = { type: 'slow', delayMs }
    },
    cutAfter(bytes) {
      left = bytes
    },
    answer(text) {
      mode = { type: 'answer', text }
      end()
    },
    restore() {
      mode = { type: 'pass' }
      for (const { near, held } of pairs) for (const chunk of held.splice(0)) near.write(chunk)
    },
    async close() {
      end()
      server.close()
      await once(server, 'close')
    },
  }
}
