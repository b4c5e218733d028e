import { isIP } from 'node:net'
import type { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { CustomHeaderConfig } from '@weft/contracts/envoy/extensions/http/original_ip_detection/custom_header/v3/custom_header'
import { XffConfig } from '@weft/contracts/envoy/extensions/http/original_ip_detection/xff/v3/xff'
import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { invalid, unsupported } from '../../../plan/problems.ts'
import { type AddressSet, compileRanges } from '../../../transport/address.ts'

/** What was found out about where a request comes from; null: nothing. A status refuses the request. */
type OriginalAddress = { address: string; trusted: boolean } | { refusal: number } | null

export interface OriginalAddressDetection {
  /** `direct`: the peer's address. */
  find(headers: HeaderTable, direct: string): OriginalAddress
  /** Add the peer's address to X-Forwarded-For. */
  appends: boolean
}

const prefix = 'envoy.extensions.http.original_ip_detection.'

/** Compiles original_ip_detection_extensions: the first that finds an address decides; null: there are none. */
export function compileOriginalAddress(
  extensions: readonly TypedExtensionConfig[],
  others: { useRemoteAddress: boolean; xffTrustedHops: number },
  path: string,
): OriginalAddressDetection | null {
  if (extensions.length === 0) return null
  if (others.useRemoteAddress) throw invalid(path, 'Original IP detection extensions and use_remote_address may not be mixed')
  if (others.xffTrustedHops > 0) throw invalid(path, 'Original IP detection extensions and xff_num_trusted_hops may not be mixed')
  const detections = extensions.map((extension, i) => compileOne(extension, `${path}[${i}].typed_config`))
  return {
    find(headers, direct) {
      for (const one of detections) {
        const found = one.find(headers, direct)
        if (found !== null) return found
      }
      return null
    },
    appends: detections.some((one) => one.appends),
  }
}

function compileOne({ name, typedConfig }: TypedExtensionConfig, path: string): OriginalAddressDetection {
  const type = typedConfig?.typeUrl.split('/').pop() ?? ''
  if (typedConfig !== undefined && type === `${prefix}xff.v3.XffConfig`) {
    const { xffNumTrustedHops, xffTrustedCidrs, skipXffAppend } = XffConfig.decode(typedConfig.value)
    const appends = skipXffAppend === false
    if (xffTrustedCidrs === undefined) return { appends, find: (headers) => forwardedAddress(headers, xffNumTrustedHops) }
    if (xffNumTrustedHops > 0) throw invalid(path, 'Cannot set both xff_num_trusted_hops and xff_trusted_cidrs')
    const trusted = compileRanges(xffTrustedCidrs.cidrs, `${path}.xff_trusted_cidrs.cidrs`)
    return { appends, find: (headers, direct) => (trusted(direct) ? firstUntrusted(headers, trusted) : null) }
  }
  if (typedConfig === undefined || type !== `${prefix}custom_header.v3.CustomHeaderConfig`)
    throw unsupported(path, `the detection of original addresses '${type === '' ? name : type}'`)
  const source = CustomHeaderConfig.decode(typedConfig.value)
  const header = headerName(source.headerName)
  const code = source.rejectWithStatus?.code ?? 0
  const refusal = source.rejectWithStatus === undefined ? null : { refusal: code < 400 || code > 511 ? 403 : code }
  return {
    find: (headers) => {
      const address = headers.get(header) ?? ''
      return isIP(address) === 0 ? refusal : { address, trusted: source.allowExtensionToSetAddressAsTrusted }
    },
    appends: false,
  }
}

/** From the end of X-Forwarded-For the first address that is none of a trusted proxy, else the one that all began with. */
function firstUntrusted(headers: HeaderTable, isTrusted: AddressSet): { address: string; trusted: boolean } | null {
  const addresses = (headers.getAll(names.forwardedFor) ?? '').split(',').map((address) => address.trim())
  let found: string | null = null
  for (const address of addresses.reverse()) {
    if (isIP(address) === 0) return null
    found = address
    if (!isTrusted(address)) break
  }
  return found === null ? null : { address: found, trusted: false }
}

/** The address `hops` from the end of X-Forwarded-For; trusted when it is the only one. */
function forwardedAddress(headers: HeaderTable, hops: number): { address: string; trusted: boolean } | null {
  const forwarded = headers.getAll(names.forwardedFor)
  if (forwarded === null) return null
  const addresses = forwarded.split(',')
  const address = addresses[addresses.length - 1 - hops]?.trim()
  return address !== undefined && isIP(address) !== 0 ? { address, trusted: addresses.length === 1 } : null
}
