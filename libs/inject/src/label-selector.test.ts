import { expect, test } from 'vitest'
import { type LabelSelector, selects } from './label-selector.ts'

const labels = { team: 'shop', tier: 'web' }

test.for<[LabelSelector, boolean]>([
  [{}, true],
  [{ matchLabels: { team: 'shop' } }, true],
  [{ matchLabels: { team: 'shop', tier: 'db' } }, false],
  [{ matchExpressions: [{ key: 'team', operator: 'In', values: ['shop', 'pay'] }] }, true],
  [{ matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['shop'] }] }, false],
  [{ matchExpressions: [{ key: 'env', operator: 'NotIn', values: ['test'] }] }, true],
  [{ matchExpressions: [{ key: 'env', operator: 'In', values: ['test'] }] }, false],
  [{ matchExpressions: [{ key: 'tier', operator: 'Exists' }] }, true],
  [{ matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] }, false],
  [{ matchLabels: { team: 'shop' }, matchExpressions: [{ key: 'env', operator: 'Exists' }] }, false],
])('%j: %j', ([selector, wanted]) => {
  expect(selects(selector, labels)).toBe(wanted)
})
