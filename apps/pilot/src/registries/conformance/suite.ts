import type { Behaviour } from './behaviour.ts'
import { facts } from './facts.ts'
import { faults } from './faults.ts'
import { presence } from './presence.ts'
import { scale } from './scale.ts'

/** What every registry has to do, whichever platform it speaks to. */
export const suite: readonly Behaviour[] = [...presence, ...facts, ...scale, ...faults]
