import { describe, expect, it } from 'vitest'
import { chosen } from './bench-options.ts'

const pairs = ['envoy', 'envoy-h2', 'weft-h1', 'weft'] as const

describe('--only', () => {
  it.each([
    ['all where it names none', [], pairs],
    ['a whole name, and no other that has it as a part', ['envoy'], ['envoy']],
    ['by a part, as they stand in the benchmark', ['-h1', '-h2'], ['envoy-h2', 'weft-h1']],
    ['each but once', ['weft', 'weft'], ['weft']],
  ])('chooses %s', (_, only, found) => {
    expect(chosen(pairs, only)).toEqual(found)
  })

  it('tells what there is when it names something else', () => {
    expect(() => chosen(pairs, ['weft', 'nginx'])).toThrow("called 'nginx'; there are: envoy; envoy-h2; weft-h1; weft")
  })
})
