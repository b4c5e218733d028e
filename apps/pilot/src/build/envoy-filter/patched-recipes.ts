import { createHash } from 'node:crypto'
import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import {
  EnvoyFilter_ApplyTo as ApplyTo,
  EnvoyFilter_PatchContext as Context,
  EnvoyFilter_Patch_Operation as Operation,
} from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import type { Resource } from '@weft/xds/cache/resource'
import type { Recipe, Recipes } from '../resource-cache.ts'
import { keyOf } from '../wire.ts'
import { patchedCluster } from './cluster-patch.ts'
import { patchedListener } from './listener-patch.ts'
import type { ProxyPatches } from './proxy-patches.ts'
import { patchedRoutes } from './route-patch.ts'

/** How a resource's encoded message is patched; undefined: it is removed. */
type PatchMessage = (bytes: Uint8Array, patches: ProxyPatches) => Uint8Array | undefined

export const patchMessage: Readonly<Record<'cluster' | 'listener' | 'route', PatchMessage>> = {
  cluster: patchedCluster,
  listener: patchedListener,
  route: (bytes, patches) => {
    const context = patches.scope.proxy.type === 'router' ? Context.GATEWAY : Context.SIDECAR_OUTBOUND
    return RouteConfiguration.encode(patchedRoutes(RouteConfiguration.decode(bytes), patches, context)).finish()
  },
}

const nothing = new Uint8Array()

/** Recipes for one proxy: each is patched when it is made. What is removed has no bytes: see `isThere`. */
export function patchedRecipes(recipes: Recipes, patches: ProxyPatches | undefined, patch: PatchMessage): Recipes {
  if (patches === undefined) return recipes
  return {
    get: (recipe) =>
      recipes.get({
        ...recipe,
        key: keyOf(recipe.key, patches.key),
        origins: [...recipe.origins, ...patches.origins],
        build: () => patch(recipe.build(), patches) ?? nothing,
      }),
  }
}

export const isThere = ({ bytes }: Resource): boolean => bytes.length > 0

const codecs = { [ApplyTo.CLUSTER]: Cluster, [ApplyTo.LISTENER]: Listener, [ApplyTo.EXTENSION_CONFIG]: TypedExtensionConfig }

/** What patches add to a proxy that it would not have: whole clusters, listeners, or configurations of extensions. */
export function addedRecipes(patches: ProxyPatches | undefined, applyTo: keyof typeof codecs): Recipe[] {
  if (patches === undefined) return []
  const router = patches.scope.proxy.type === 'router'
  const contexts = router ? [Context.GATEWAY] : [Context.SIDECAR_INBOUND, Context.SIDECAR_OUTBOUND]
  const all = new Set(contexts.flatMap((context) => patches.of(applyTo, context)))
  return [...all].flatMap(({ operation, value }) => {
    if (operation !== Operation.ADD) return []
    const { name } = codecs[applyTo].decode(value)
    const key = createHash('sha1').update(value).digest('base64url')
    return [{ name, key: keyOf('added', key), origins: patches.origins, build: () => value }]
  })
}
