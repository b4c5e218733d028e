import { WeftError } from '@weft/service/errors'
import type { Registry, RegistryContext } from './registry.ts'

/** Where a platform is, as `--registry` says it: `consul=http://127.0.0.1:8500?token-file=/run/token`, or `kubernetes`. */
export interface RegistrySpec {
  platform: string
  /** Without the options; undefined where the platform is found otherwise. */
  url: URL | undefined
  /** What stands after `?`. */
  options: ReadonlyMap<string, string>
}

type Open = (spec: RegistrySpec, context: RegistryContext) => Promise<Registry>

/** Loaded when they are asked for: a Pilot without Consul reads none of its code. */
const platforms: Readonly<Record<string, () => Promise<Open>>> = {
  consul: () => import('./consul/open.ts').then(({ openConsul }) => openConsul),
  kubernetes: () => import('./kubernetes/open.ts').then(({ openKubernetes }) => openKubernetes),
  nomad: () => import('./nomad/open.ts').then(({ openNomad }) => openNomad),
}

/** Reads one `--registry`. Throws `invalid_argument` with what it should be. */
export function parseRegistry(text: string): RegistrySpec {
  const [, platform = '', rest] = /^([a-z]+)(?:=(.*))?$/.exec(text) ?? []
  if (!(platform in platforms)) {
    throw new WeftError('invalid_argument', `--registry ${text} names no platform`, {
      hint: `write PLATFORM or PLATFORM=URL, with one of ${Object.keys(platforms).join(', ')}; files are given by --config-dir`,
    })
  }
  const query = rest?.indexOf('?') ?? -1
  const [address, options] = rest === undefined || query < 0 ? [rest, ''] : [rest.slice(0, query), rest.slice(query + 1)]
  return { platform, url: readUrl(address, text), options: new Map(new URLSearchParams(options)) }
}

function readUrl(address: string | undefined, text: string): URL | undefined {
  if (address === undefined || address === '') return undefined
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url !== undefined && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '') return url
  throw new WeftError('invalid_argument', `--registry ${text} has no http or https URL`, {
    hint: 'such as consul=http://127.0.0.1:8500; tokens are given by ?token-file=FILE',
  })
}

/** Opens the registry of one `--registry`; it begins to follow its platform, which need not be there yet. */
export async function openRegistry(spec: RegistrySpec, context: RegistryContext): Promise<Registry> {
  const load = platforms[spec.platform]
  if (load === undefined) throw new WeftError('invalid_argument', `there is no registry for ${spec.platform}`)
  const open = await load()
  return open(spec, context)
}
