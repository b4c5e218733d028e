import type { RE2JS } from 're2js'

/** An instruction as RE2JS compiles it; `out` and `arg` are places of others. */
interface Instruction {
  readonly op: number
  readonly out: number
  readonly arg: number
  readonly runes: Int32Array
}

interface Program {
  readonly inst: readonly Instruction[]
  readonly start: number
}

/** RE2JS's kinds of instructions. */
const op = { alt: 1, altMatch: 2, emptyWidth: 4, fail: 5, match: 6, nop: 7, rune: 8, runeAny: 10, runeAnyNotNewline: 11 } as const
/** Bits of `arg` of an empty-width instruction. */
const beginText = 4
const endText = 8

/**
 * How many instructions RE2 makes of a pattern of bytes: its "program size". RE2 puts what can be tried at one place into one
 * list without branches, a range of bytes an instruction; a list that several others go on with stands for itself, and costs
 * each of them one more.
 */
export function programSize(regex: RE2JS): number {
  const { inst, start } = programOf(regex)
  const follow = (place: number): number => {
    let at = place
    while (inst[at]!.op === op.nop) at = inst[at]!.out
    return at
  }
  let first = follow(start)
  // An anchor in front is no instruction, and saves the search for a beginning; one at the very end is none either.
  const anchored = isEmpty(inst[first]!, beginText)
  if (anchored) first = follow(inst[first]!.out)
  const skipEnd = trailingAnchor(inst, first, follow)
  const step = (place: number): number => {
    const at = follow(place)
    return at === skipEnd ? follow(inst[at]!.out) : at
  }
  first = step(first)

  const roots = new Set([first])
  const before = new Map<number, Set<number>>()
  const reached = new Set<number>()
  const open = [first]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (reached.has(at)) continue
    reached.add(at)
    const one = inst[at]!
    if (isAlt(one)) {
      for (const out of [step(one.arg), step(one.out)]) {
        before.set(out, (before.get(out) ?? new Set()).add(at))
        open.push(out)
      }
    } else if (one.op !== op.match && one.op !== op.fail) {
      const out = step(one.out)
      roots.add(out)
      open.push(out)
    }
  }
  // What can be reached from outside of a list, too, is a list of its own.
  for (const root of [...roots].sort((a, b) => b - a)) {
    if (root === first) continue
    const within = listOf(inst, root, roots, step)
    for (const at of within) if ([...(before.get(at) ?? [])].some((from) => !within.has(from))) roots.add(at)
  }

  // One instruction that fails, and two that look for a beginning.
  let size = anchored ? 1 : 3
  for (const root of roots)
    for (const at of listOf(inst, root, roots, step))
      size += at !== root && roots.has(at) ? 1 : isAlt(inst[at]!) ? Number(takesTheRest(inst, at, step)) : ranges(inst[at]!)
  return size
}

function programOf(regex: RE2JS): Program {
  return (regex as unknown as { re2Input: { prog: Program } }).re2Input.prog
}

function isAlt({ op: kind }: Instruction): boolean {
  return kind === op.alt || kind === op.altMatch
}

function isEmpty({ op: kind, arg }: Instruction, which: number): boolean {
  return kind === op.emptyWidth && arg === which
}

/** What is tried at one place; other lists stand in it, and are not followed. */
function listOf(
  inst: readonly Instruction[],
  root: number,
  roots: ReadonlySet<number>,
  step: (place: number) => number,
): Set<number> {
  const within = new Set<number>()
  const open = [root]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (within.has(at)) continue
    within.add(at)
    const one = inst[at]!
    if ((at === root || !roots.has(at)) && isAlt(one)) open.push(step(one.arg), step(one.out))
  }
  return within
}

/** The place of an end-of-text anchor that every match passes last; -1: there is none. */
function trailingAnchor(inst: readonly Instruction[], first: number, follow: (place: number) => number): number {
  let anchor = -1
  const reached = new Set<number>()
  const open = [first]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (reached.has(at)) continue
    reached.add(at)
    const one = inst[at]!
    if (one.op === op.match) return -1
    if (one.op === op.fail) continue
    const out = follow(one.out)
    if (isEmpty(one, endText) && inst[out]!.op === op.match) {
      if (anchor !== -1) return -1
      anchor = at
      continue
    }
    open.push(out)
    if (isAlt(one)) open.push(follow(one.arg))
  }
  return anchor
}

/** `(?s).*` at the end: RE2 marks that nothing further can make a difference. */
function takesTheRest(inst: readonly Instruction[], at: number, step: (place: number) => number): boolean {
  const outs = [step(inst[at]!.out), step(inst[at]!.arg)].map((place) => inst[place]!)
  return outs.some((one) => one.op === op.match) && outs.some((one) => one.op === op.runeAny && step(one.out) === at)
}

/** How many ranges of bytes an instruction takes. */
function ranges({ op: kind, runes }: Instruction): number {
  if (kind === op.runeAnyNotNewline) return 2
  if (kind !== op.rune || runes.length < 2) return 1
  const pairs: [number, number][] = []
  for (let i = 0; i + 1 < runes.length; i += 2) if (runes[i]! <= 0xff) pairs.push([runes[i]!, runes[i + 1]!])
  // Of a class that is the same in both cases only the lower one counts.
  const has = (code: number): boolean => pairs.some(([low, high]) => low <= code && code <= high)
  let folds = true
  for (let code = 65; code <= 90; code++) if (has(code) !== has(code + 32)) folds = false
  return pairs.filter(([low, high]) => !(folds && low >= 65 && high <= 90)).length
}
