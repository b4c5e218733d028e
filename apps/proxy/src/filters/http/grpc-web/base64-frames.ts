import { WeftError } from '@weft/service/errors'

/** Decodes a base64 body as its pieces come: what is not a multiple of four characters waits for the rest. */
export class Base64Pieces {
  private rest = ''

  /** Throws a WeftError for what is no base64, and at the end for what is incomplete. */
  add(data: Buffer, end: boolean): Buffer {
    const text = this.rest + data.latin1Slice()
    const whole = end ? text.length : text.length - (text.length % 4)
    this.rest = text.slice(whole)
    const pieces: Buffer[] = []
    // Each of a sender's own pieces may be padded.
    for (const [piece] of text.slice(0, whole).matchAll(/[^=]*={0,2}/g)) {
      if (piece === '') continue
      if (piece.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(piece))
        throw new WeftError('invalid_argument', 'the body is no base64 text')
      pieces.push(Buffer.from(piece, 'base64'))
    }
    return Buffer.concat(pieces)
  }
}
