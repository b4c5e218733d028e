import { setImmediate as nextRound } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type OutputOwner, SharedOutput } from './shared-output.ts'

class Peer implements OutputOwner {
  readonly writes: string[] = []
  takes = true
  kept: Buffer | null = null

  writeOut(bytes: Buffer, start: number, end: number): boolean {
    this.writes.push(bytes.toString('latin1', start, end))
    if (!this.takes) this.kept = bytes.subarray(start, end)
    return this.takes
  }
}

function put(output: SharedOutput, owner: OutputOwner, text: string): void {
  const buffer = output.reserve(owner, text.length)
  output.commit(output.position + buffer.latin1Write(text, output.position))
}

describe('the shared output', () => {
  it('writes once a connection when the round is over, in order', async () => {
    const [output, one, two] = [new SharedOutput(), new Peer(), new Peer()]
    put(output, one, 'a')
    put(output, one, 'b')
    put(output, two, 'c')
    expect([...one.writes, ...two.writes]).toEqual([])
    expect([output.holds(one), output.holds(two)]).toEqual([true, true])
    await nextRound()
    expect([one.writes, two.writes]).toEqual([['ab'], ['c']])
    expect([output.holds(one), output.holds(two)]).toEqual([false, false])
  })

  it('writes a large range at once, and what came before it first', () => {
    const [output, one, two] = [new SharedOutput(), new Peer(), new Peer()]
    put(output, one, 'a')
    put(output, two, 'x'.repeat(20_000))
    expect([one.writes.join(), two.writes.join().length]).toEqual(['a', 20_000])
  })

  it('drops what a closed connection had, and nobody else loses a byte', () => {
    const [output, one, two] = [new SharedOutput(), new Peer(), new Peer()]
    put(output, one, 'a')
    put(output, two, 'b')
    put(output, one, 'c')
    output.drop(one)
    expect(output.holds(one)).toBe(false)
    output.flush()
    expect([one.writes, two.writes]).toEqual([[], ['b']])
  })

  it('leaves its buffer to bytes that the kernel did not take', () => {
    const [output, slow, next] = [new SharedOutput(), new Peer(), new Peer()]
    slow.takes = false
    put(output, slow, 'kept')
    output.flush()
    put(output, next, 'other')
    output.flush()
    expect([slow.kept?.toString('latin1'), next.writes]).toEqual(['kept', ['other']])
  })

  it('makes room for more than its buffer holds', () => {
    const [output, one] = [new SharedOutput(), new Peer()]
    put(output, one, 'y'.repeat(1_000_000))
    expect(one.writes.join('').length).toBe(1_000_000)
  })
})
