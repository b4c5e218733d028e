import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LabelIndex } from './label-index.ts'
import type { Workload } from './workload.ts'

function workload(name: string, labels: Record<string, string>, namespace = 'default'): Workload {
  const locality = { region: '', zone: '', subZone: '' }
  return {
    ...{ key: `${namespace}/${name}`, name, namespace, address: '10.0.0.1', ports: {}, labels, serviceAccount: '', identity: '' },
    ...{ locality, network: '', weight: 0, health: 'healthy', tlsMode: 'disabled', origin: name },
  }
}

const namesOf = (index: LabelIndex, selector: Record<string, string>, namespace = 'default'): string[] =>
  index.select(namespace, selector).map(({ name }) => name)

test('all labels have to hold, in the namespace', () => {
  const index = LabelIndex.of([
    workload('a', { app: 'web', version: 'v1' }),
    workload('b', { app: 'web', version: 'v2' }),
    workload('c', { app: 'web' }, 'other'),
  ])
  expect(namesOf(index, { app: 'web' })).toEqual(['a', 'b'])
  expect(namesOf(index, { app: 'web', version: 'v2' })).toEqual(['b'])
  expect(namesOf(index, { app: 'none' })).toEqual([])
  expect(namesOf(index, { app: 'web' }, 'other')).toEqual(['c'])
})

test('worked out from the one before it finds what one made anew finds, whatever came, changed or went', () => {
  const label = fc.constantFrom('a', 'b', 'c')
  const list = fc.uniqueArray(fc.record({ id: fc.nat(12), app: label, version: label }), { selector: ({ id }) => id })
  const known = new Map<string, Workload>()
  const made = (of: readonly { id: number; app: string; version: string }[]): Workload[] =>
    of.map(({ id, app, version }) => {
      const key = `${id}/${app}/${version}`
      const one = known.get(key) ?? workload(key, { app, version })
      known.set(key, one)
      return one
    })
  fc.assert(
    fc.property(fc.array(list, { maxLength: 6 }), label, label, (generations, app, version) => {
      let index = LabelIndex.of([])
      for (const generation of generations.map(made)) {
        index = LabelIndex.of(generation, index)
        const anew = LabelIndex.of(generation)
        const selectors: Record<string, string>[] = [{ app }, { app, version }]
        for (const selector of selectors) {
          expect(namesOf(index, selector).sort()).toEqual(namesOf(anew, selector).sort())
        }
      }
    }),
  )
})
