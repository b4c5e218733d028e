/** Of each size kept for later. */
const maxSpare = 4
const smallest = 4096

const spare = new Map<number, Buffer[]>()

/**
 * A buffer of at least `size` bytes, of a power of two from 4 KiB: one that was given back, or a new one. Memory outside the heap
 * that a peer makes us take for each of its connections in turn is collected only by going through the whole heap.
 */
export function takeBuffer(size: number): Buffer {
  let rounded = smallest
  while (rounded < size) rounded *= 2
  return spare.get(rounded)?.pop() ?? Buffer.allocUnsafeSlow(rounded)
}

/** For others: a buffer of `takeBuffer`'s that nobody looks at any more. */
export function giveBuffer(buffer: Buffer): void {
  if (buffer.length < smallest) return
  const same = spare.get(buffer.length)
  if (same === undefined) spare.set(buffer.length, [buffer])
  else if (same.length < maxSpare) same.push(buffer)
}
