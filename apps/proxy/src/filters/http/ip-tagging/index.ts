import {
  IPTagging_IpTagHeader_HeaderAction as HeaderAction,
  IPTagging,
  IPTagging_RequestType as RequestType,
} from '@weft/contracts/envoy/extensions/filters/http/ip_tagging/v3/ip_tagging'
import { headerName } from '@weft/http/header-name'
import { compileRanges } from '../../../transport/address.ts'
import type { FilterStatus, HttpFilterKind, HttpStream } from '../filter.ts'

const internal = headerName('x-envoy-internal')
const defaultHeader = headerName('x-envoy-ip-tags')

/** `envoy.filters.http.ip_tagging`: requests get a header that names the ranges their client's address lies in. */
export const ipTagging: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.ip_tagging.v3.IPTagging'],
  routeTypes: ['envoy.extensions.filters.http.ip_tagging.v3.IPTagging'],
  compile(bytes, context) {
    const source = IPTagging.decode(bytes)
    if (source.ipTags.length === 0)
      return context.fail('ip_tags', 'HTTP IP Tagging Filter requires one of ip_tags or ip_tags_datasource')
    const { stats, runtime, statPrefix } = context
    const stat = (name: string) => stats.counter(`${statPrefix}ip_tagging.${name}`)
    const tags = new Map<string, { holds: ((address: string) => boolean)[] }>()
    source.ipTags.forEach(({ ipTagName, ipList }, i) => {
      const holds = compileRanges(ipList, `${context.path}.ip_tags[${i}].ip_list`)
      const known = tags.get(ipTagName)
      if (known === undefined) tags.set(ipTagName, { holds: [holds] })
      else known.holds.push(holds)
    })
    const { requestType, ipTagHeader } = source
    const header = ipTagHeader === undefined ? defaultHeader : headerName(ipTagHeader.header)
    const replaces = ipTagHeader?.action === HeaderAction.SANITIZE
    const tag = (stream: HttpStream): FilterStatus => {
      const { headers } = stream.request
      const isInternal = headers.get(internal) === 'true'
      if (requestType === (isInternal ? RequestType.EXTERNAL : RequestType.INTERNAL)) return 'continue'
      if (runtime.random() * 100 >= runtime.number('ip_tagging.http_filter_enabled', 100)) return 'continue'
      const address = stream.info.downstreamRemoteAddress
      const found = [...tags].filter(([, { holds }]) => holds.some((each) => each(address))).map(([name]) => name)
      stat('total').inc()
      if (replaces && headers.remove(header) && found.length === 0) stream.clearRoute()
      if (found.length === 0) {
        stat('no_hit').inc()
        return 'continue'
      }
      for (const name of found) stat(name === '' ? 'hit' : `${name}.hit`).inc()
      const first = headers.find(header)
      if (first < 0) headers.append(header, found.join(','))
      else headers.setAt(first, [...(headers.valueAt(first) === '' ? [] : [headers.valueAt(first)]), ...found].join(','))
      stream.clearRoute()
      return 'continue'
    }
    const filter = { onRequestHeaders: tag }
    return { start: () => filter }
  },
}
