import { flag, frameType, writeFrameHeader, writeUint32 } from '@weft/http/h2/frame'

/** Header blocks by which a script's HEADERS are made: requests, answers, trailers, and what is wrong with each. */
const blocks: readonly Buffer[] = [
  // Requests: indexed, by literals that enter the table, by names of the table, in Huffman's code.
  '8286 8441 0161',
  '8386 8441 0161',
  '8286 4401 2f 4101 61 4001 78 0179',
  '8386 8441 0161 5c01 35',
  '8386 8441 0161 5c01 30',
  '8286 8441 8cf1e3c2e5f23a6ba0ab90f4ff',
  '8286 84 be bf c0',
  '8286 8441 0161 6001 61 6001 62 60 00',
  '8286 8441 0161 4002 7465 0874 7261 696c 6572 73',
  '8286 8441 0161 4002 7465 0467 7a69 70',
  '8286 8441 0161 0004 686f 7374 0162',
  '8286 84 0004 686f 7374 0162 0004 686f 7374 0163',
  // CONNECT, plain and extended.
  '0207 434f 4e4e 4543 54 4101 61',
  '0207 434f 4e4e 4543 54 8684 4101 61 0009 3a70 726f 746f 636f 6c09 7765 6273 6f63 6b65 74',
  '0207 4f50 5449 4f4e 5386 0401 2a 4101 61',
  // Answers: final, interim, without a body.
  '88',
  '8d',
  '89',
  '4803 3130 33',
  '4803 3130 31',
  '88 5c01 33',
  '8c 5c01 30',
  // Trailers.
  '4003 782d 7401 31',
  '0003 782d 7401 31',
  '0401 2f',
  '5c01 30',
  // What no message may have.
  '8286 8441 0161 0001 5801 61',
  '8286 8441 0161 0001 7803 610d 0a',
  '8286 8441 0161 000a 636f 6e6e 6563 7469 6f6e 0161',
  '8286 8441 0161 0002 3a78 0161',
  '8286 8282 8441 0161',
  '0002 7879 0161 8286 8441 0161',
  // The dynamic table: other sizes, an entry as large as it, indexes of nothing, a block that is not whole.
  '20 8286 8441 0161',
  '3f e1 1f 8286 8441 0161',
  '3f e1 1f 20 8286 8441 0161',
  'ff 80 80 80 80 01',
  '80',
  'fe',
  '8286 8441 7f',
  '8286 8441 0161 4001 6182 ffff',
  `8286 8441 0161 4001 617f bd1d ${'78'.repeat(3900)} ${'be'.repeat(40)}`,
  `8286 8441 0161 ${'0001 6101 62'.repeat(120)}`,
].map((hex) => Buffer.from(hex.replaceAll(' ', ''), 'hex'))

const increments = [0, 1, 100, 65_535, 0x7fff_ffff]
const settingValues = [0, 1, 100, 16_384, 65_535, 0x7fff_ffff, 0xffff_ffff]
const maxBytes = 20_000

/**
 * Frames as the bytes of `script` choose them: well formed in most, and in an order that may be. Bytes that are changed at random
 * are nearly never frames, and end at the first.
 */
export function framesOf(script: Uint8Array): Buffer {
  const frames: Buffer[] = []
  let at = 0
  let opened = 0
  let size = 0
  const next = (): number => script[at++] ?? 0
  const stream = (): number => 2 * (next() % (opened + 1)) + 1
  const add = (type: number, flags: number, id: number, payload: Uint8Array): void => {
    const bytes = Buffer.alloc(9 + payload.length)
    bytes.set(payload, writeFrameHeader(bytes, 0, payload.length, type, flags, id))
    frames.push(bytes)
    size += bytes.length
  }
  const number = (value: number, behind = 0): Buffer => {
    const bytes = Buffer.alloc(4 + behind)
    writeUint32(bytes, 0, value)
    return bytes
  }
  while (at < script.length && size < maxBytes) {
    switch (next() % 16) {
      case 0:
      case 1:
      case 2:
        add(frameType.headers, flag.endHeaders | (next() & flag.endStream), 2 * opened++ + 1, block(next()))
        break
      case 3:
        add(frameType.headers, flag.endHeaders | flag.endStream, stream(), block(next()))
        break
      case 4: {
        // A block in two frames, or in one that is to go on.
        const whole = block(next())
        const cut = next() % (whole.length + 1)
        const id = 2 * opened++ + 1
        add(frameType.headers, next() & flag.endStream, id, whole.subarray(0, cut))
        if (cut < whole.length) add(frameType.continuation, flag.endHeaders, id, whole.subarray(cut))
        break
      }
      case 5:
      case 6: {
        const flags = next() & (flag.endStream | flag.padded)
        add(frameType.data, flags, stream(), Buffer.alloc(next() * 8, flags === 0 ? 120 : 3))
        break
      }
      case 7:
        add(frameType.rstStream, 0, stream(), number(next() % 16))
        break
      case 8: {
        const [id, value] = [next() % 10, settingValues[next() % settingValues.length]!]
        add(frameType.settings, 0, 0, Buffer.concat([Buffer.from([0, id]), number(value)]))
        break
      }
      case 9:
        add(frameType.settings, flag.ack, 0, Buffer.alloc(0))
        break
      case 10:
        add(frameType.ping, next() & 1, 0, Buffer.alloc(8))
        break
      case 11:
        add(frameType.windowUpdate, 0, next() % 2 === 0 ? 0 : stream(), number(increments[next() % increments.length]!))
        break
      case 12:
        add(frameType.priority, 0, stream(), number(next(), 1))
        break
      case 13:
        add(next() % 12, next(), next() % 8, Buffer.alloc(next() % 20, next()))
        break
      case 14: {
        const last = frames.at(-1)
        for (let times = next() % 80; last !== undefined && times > 0 && size < maxBytes; times--) {
          frames.push(last)
          size += last.length
        }
        break
      }
      default:
        add(frameType.goaway, 0, 0, number(stream(), 4))
    }
  }
  return Buffer.concat(frames)
}

function block(choice: number): Buffer {
  return blocks[choice % blocks.length]!
}
