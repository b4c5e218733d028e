import type { PathMatch } from './route-match.ts'

/** What an index needs of a route. */
export interface Indexed {
  readonly path: PathMatch
}

interface Node {
  /** What stands between the parent's text and this one's. */
  label: string
  /** By the first character of their label. */
  readonly children: Map<number, Node>
  /** Places of routes whose literal ends here, ascending. */
  readonly exact: number[]
  readonly prefix: number[]
  readonly separated: number[]
}

function newNode(label: string): Node {
  return { label, children: new Map(), exact: [], prefix: [], separated: [] }
}

/** Fewer routes than this are looked through faster than an index is asked. */
const leastRoutes = 12

/**
 * Finds the first of many routes that a request matches without looking at each: literal paths and prefixes stand in a tree of
 * their characters (a radix tree), of which a path meets a few nodes; the others (regular expressions, without case, CONNECT)
 * are asked one by one, as far as they stand before what the tree has found.
 */
export class RouteIndex {
  private readonly root = newNode('')
  /** Places of routes that are asked one by one. */
  private readonly others: number[] = []

  private constructor(routes: readonly Indexed[]) {
    for (let i = 0; i < routes.length; i++) {
      const { path } = routes[i]!
      if (path.type === 'regex' || path.type === 'connect' || !path.caseSensitive) this.others.push(i)
      else {
        const node = this.nodeOf(path.value)
        const list = path.type === 'exact' ? node.exact : path.type === 'prefix' ? node.prefix : node.separated
        list.push(i)
      }
    }
  }

  /** null: looking through the routes is as good. */
  static of(routes: readonly Indexed[]): RouteIndex | null {
    return routes.length < leastRoutes ? null : new RouteIndex(routes)
  }

  private nodeOf(text: string): Node {
    let node = this.root
    let rest = text
    while (rest !== '') {
      const child = node.children.get(rest.charCodeAt(0))
      if (child === undefined) {
        const leaf = newNode(rest)
        node.children.set(rest.charCodeAt(0), leaf)
        return leaf
      }
      const shared = sharedLength(child.label, rest)
      if (shared < child.label.length) {
        const between = newNode(child.label.slice(0, shared))
        node.children.set(rest.charCodeAt(0), between)
        child.label = child.label.slice(shared)
        between.children.set(child.label.charCodeAt(0), child)
        node = between
      } else node = child
      rest = rest.slice(shared)
    }
    return node
  }

  /**
   * The place of the first route that takes a request with this path (without query); -1: none. `takes` is asked of routes
   * that may match, `literal` when its path is known to.
   */
  find(path: string, takes: (place: number, literal: boolean) => boolean): number {
    let best = Number.POSITIVE_INFINITY
    let node: Node | undefined = this.root
    let at = 0
    while (node !== undefined && path.startsWith(node.label, at)) {
      at += node.label.length
      best = firstOf(node.prefix, best, true, takes)
      if (at === path.length) {
        best = firstOf(node.exact, best, true, takes)
        best = firstOf(node.separated, best, true, takes)
        break
      }
      const next = path.charCodeAt(at)
      if (next === 47) best = firstOf(node.separated, best, true, takes)
      node = node.children.get(next)
    }
    best = firstOf(this.others, best, false, takes)
    return best === Number.POSITIVE_INFINITY ? -1 : best
  }
}

/** The first of these places before `best` that takes the request, else `best`. */
function firstOf(
  places: readonly number[],
  best: number,
  literal: boolean,
  takes: (place: number, literal: boolean) => boolean,
): number {
  for (let i = 0; i < places.length; i++) {
    const place = places[i]!
    if (place >= best) return best
    if (takes(place, literal)) return place
  }
  return best
}

function sharedLength(one: string, other: string): number {
  let length = 0
  while (length < one.length && one.charCodeAt(length) === other.charCodeAt(length)) length++
  return length
}
