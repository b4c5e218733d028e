import { WeftError } from '@weft/service/errors'

/** Decodes a base64 body as its pieces come, each of which may end in padding: what is no multiple of four characters waits. */
export class Base64Pieces {
  private rest = ''

  /** Throws a WeftError for what is no base64 (`invalid_argument`), and at the end for what is incomplete (`failed_precondition`). */
  add(data: Buffer, end: boolean): Buffer {
    const text = this.rest + data.latin1Slice()
    if (end && text.length % 4 !== 0)
      throw new WeftError('failed_precondition', 'the body is cut off in the middle of its base64 text')
    const whole = text.slice(0, text.length - (text.length % 4))
    this.rest = text.slice(whole.length)
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(whole)) throw new WeftError('invalid_argument', 'the body is no base64 text')
    return Buffer.from(whole, 'base64')
  }
}
