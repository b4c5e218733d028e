import { WeftError } from '@weft/service/errors'
import { type PlatformSpec, parsePlatform } from './platform-spec.ts'
import type { Registry, RegistryContext } from './registry.ts'

type Open = (spec: PlatformSpec, context: RegistryContext) => Promise<Registry>

/** Loaded when they are asked for: a Pilot without Consul reads none of its code. */
const platforms: Readonly<Record<string, () => Promise<Open>>> = {
  consul: () => import('./consul/open.ts').then(({ openConsul }) => openConsul),
  kubernetes: () => import('./kubernetes/open.ts').then(({ openKubernetes }) => openKubernetes),
  nomad: () => import('./nomad/open.ts').then(({ openNomad }) => openNomad),
}

/** Reads one `--registry`. Throws `invalid_argument` with what it should be. */
export function parseRegistry(text: string): PlatformSpec {
  return parsePlatform('--registry', text, Object.keys(platforms))
}

/** Opens the registry of one `--registry`; it begins to follow its platform, which need not be there yet. */
export async function openRegistry(spec: PlatformSpec, context: RegistryContext): Promise<Registry> {
  const load = platforms[spec.platform]
  if (load === undefined) throw new WeftError('invalid_argument', `there is no registry for ${spec.platform}`)
  const open = await load()
  return open(spec, context)
}
