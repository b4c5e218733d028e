import { createResource, type Resource } from '@weft/xds/cache/resource'

/** A resource, the key that decides its content, and the objects it was built from. */
export interface Recipe {
  readonly name: string
  /** Everything that decides the content; equal keys give equal bytes. */
  readonly key: string
  /** Objects (objectKey) a person would look at when a proxy refuses the resource. */
  readonly origins: readonly string[]
  readonly refersTo?: readonly string[]
  readonly build: () => Uint8Array
}

const origins = new WeakMap<Resource, readonly string[]>()

/** The objects that a resource was built from. */
export function originsOf(resource: Resource): readonly string[] {
  return origins.get(resource) ?? []
}

/** Where the resource of a recipe is had. */
export interface Recipes {
  get(recipe: Recipe): Resource
}

/**
 * Built resources by what decides them, so that each is built and encoded once however many proxies see it. Two
 * generations: what nobody asked for during a whole generation is dropped.
 */
export class ResourceCache implements Recipes {
  readonly #typeUrl: string
  #young = new Map<string, Resource>()
  #old = new Map<string, Resource>()
  built = 0

  constructor(typeUrl: string) {
    this.#typeUrl = typeUrl
  }

  get(recipe: Recipe): Resource {
    const key = `${recipe.name}\u0000${recipe.key}`
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const resource = this.#old.get(key) ?? this.#make(recipe)
    this.#young.set(key, resource)
    return resource
  }

  #make(recipe: Recipe): Resource {
    const resource = createResource(this.#typeUrl, recipe.name, recipe.build(), recipe.refersTo)
    origins.set(resource, recipe.origins)
    this.built += 1
    return resource
  }

  /** Ends a generation; called once in a while after everything in use was asked for. */
  age(): void {
    this.#old = this.#young
    this.#young = new Map()
  }

  get size(): number {
    return this.#young.size
  }
}
