import type { Suite } from '../suite.ts'
import { mixerExpressions } from './mixer-expressions.ts'

/** All suites by name, in the order in which they run. */
export const SUITES: Readonly<Record<string, Suite>> = {
  'mixer-expressions': mixerExpressions,
}
