import type { Suite } from '../suite.ts'
import { mixerAttributes } from './mixer-attributes/index.ts'
import { mixerDictionary } from './mixer-dictionary.ts'
import { mixerExpressions } from './mixer-expressions.ts'
import { mixerList } from './mixer-list.ts'
import { mixerQuota } from './mixer-quota.ts'

/** All suites by name, in the order in which they run. */
export const SUITES: Readonly<Record<string, Suite>> = {
  'mixer-expressions': mixerExpressions,
  'mixer-dictionary': mixerDictionary,
  'mixer-attributes': mixerAttributes,
  'mixer-list': mixerList,
  'mixer-quota': mixerQuota,
}
