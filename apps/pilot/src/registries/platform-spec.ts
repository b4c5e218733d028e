import { WeftError } from '@weft/service/errors'

/** Where a platform is, as a flag says it: `consul=http://127.0.0.1:8500?token-file=/run/token`, or `kubernetes`. */
export interface PlatformSpec {
  /** The flag, for what is told of it. */
  flag: string
  platform: string
  /** Without the options; undefined where the platform is found otherwise. */
  url: URL | undefined
  /** What stands after `?`. */
  options: ReadonlyMap<string, string>
}

/** Reads one value of a flag such as `--registry`. Throws `invalid_argument` with what it should be. */
export function parsePlatform(flag: string, text: string, known: readonly string[]): PlatformSpec {
  const [, platform = '', rest] = /^([a-z]+)(?:=(.*))?$/.exec(text) ?? []
  if (!known.includes(platform)) {
    throw new WeftError('invalid_argument', `${flag} ${text} names no platform`, {
      hint: `write PLATFORM or PLATFORM=URL, with one of ${known.join(', ')}; files are given by --config-dir`,
    })
  }
  const query = rest?.indexOf('?') ?? -1
  const [address, options] = rest === undefined || query < 0 ? [rest, ''] : [rest.slice(0, query), rest.slice(query + 1)]
  return { flag, platform, url: readUrl(address, `${flag} ${text}`), options: new Map(new URLSearchParams(options)) }
}

function readUrl(address: string | undefined, where: string): URL | undefined {
  if (address === undefined || address === '') return undefined
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url !== undefined && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '') return url
  throw new WeftError('invalid_argument', `${where} has no http or https URL`, {
    hint: 'such as consul=http://127.0.0.1:8500; tokens are given by ?token-file=FILE',
  })
}
