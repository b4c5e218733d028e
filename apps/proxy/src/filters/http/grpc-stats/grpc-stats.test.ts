import { describe, expect, test } from 'vitest'
import { FrameCounter } from './frame-counter.ts'
import { methodOf } from './method.ts'

const frame = (bytes: number) => Buffer.concat([Buffer.from([0, 0, 0, bytes >> 8, bytes & 255]), Buffer.alloc(bytes)])

describe('messages of a gRPC body', () => {
  test('are counted however the body is cut', () => {
    const body = Buffer.concat([frame(3), frame(0), frame(300), frame(1)])
    for (const size of [1, 2, 4, 5, 7, 64, body.length]) {
      const counter = new FrameCounter()
      let count = 0
      for (let at = 0; at < body.length; at += size) count += counter.add(body.subarray(at, at + size))
      expect(count).toBe(4)
    }
  })

  test('count when their head is whole', () => {
    const counter = new FrameCounter()
    expect(counter.add(Buffer.from([0, 0, 0, 0]))).toBe(0)
    expect(counter.add(Buffer.from([9]))).toBe(1)
    expect(counter.add(Buffer.alloc(9))).toBe(0)
  })
})

test.each([
  ['/pkg.Svc/Do', { service: 'pkg.Svc', name: 'Do' }],
  ['/pkg.Svc/Do?x=1', { service: 'pkg.Svc', name: 'Do' }],
  ['/pkg.Svc', null],
  ['/a/b/c', null],
])('the method of %s', (path, method) => {
  expect(methodOf(path)).toEqual(method)
})
