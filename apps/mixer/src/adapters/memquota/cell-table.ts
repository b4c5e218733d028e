import { WeftError } from '@weft/service/errors'
import { type Cell, fixedCell, rollingCell, TICKS_PER_SECOND } from './cells.ts'

const MS_PER_TICK = 1000 / TICKS_PER_SECOND

/** The cells of a handler by key, bounded: callers choose the dimensions, so they choose how many there are. */
export class CellTable {
  readonly #cells = new Map<string, Cell>()
  readonly #most: number
  #sweptAtTick = -1

  constructor(most = 100_000) {
    this.#most = most
  }

  /** The cell of a key, made at first use: `windowMs` 0 makes a fixed amount. Throws `resource_exhausted` when full. */
  cell(key: string, max: number, windowMs: number, tick: number): Cell {
    const known = this.#cells.get(key)
    if (known !== undefined) return known
    if (this.#cells.size >= this.#most) this.#sweep(tick)
    if (this.#cells.size >= this.#most) {
      throw new WeftError('resource_exhausted', `${this.#most} sets of dimensions are counted already`, {
        hint: 'give the quota instance dimensions with fewer values',
      })
    }
    const cell = windowMs === 0 ? fixedCell(max) : rollingCell(max, Math.max(1, Math.ceil(windowMs / MS_PER_TICK)))
    this.#cells.set(key, cell)
    return cell
  }

  /** Forgets idle cells, at most once a tick: not every call with new dimensions may walk all cells. */
  #sweep(tick: number): void {
    if (tick === this.#sweptAtTick) return
    this.#sweptAtTick = tick
    for (const [key, cell] of this.#cells) if (cell.idle(tick)) this.#cells.delete(key)
  }
}

/** The tick of a time in milliseconds. */
export function tickOf(ms: number): number {
  return Math.floor(ms / MS_PER_TICK)
}
