import type {
  LocalReplyConfig,
  ResponseMapper,
} from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import type { ResponseHead } from '@weft/http/message'
import { compileLogFilter, type LogFilter } from '../../../observe/access-log/filter.ts'
import type { FormatContext } from '../../../observe/format/context.ts'
import { wireText } from '../../../observe/format/wire-text.ts'
import { type BodyFormat, compileBodyFormat } from '../../../plan/body-format.ts'
import { readDataSource } from '../../../plan/data-source.ts'
import { invalid } from '../../../plan/problems.ts'
import type { Runtime } from '../../../plan/runtime.ts'
import { compileHeaderEdits, type HeaderEdits } from '../../../routing/header-edits.ts'

/** An answer of the proxy's own, about to be sent. */
export interface Answer {
  status: number
  body: string | Buffer
  contentType: string
}

/**
 * Changes an answer as the configuration asks. Its status and headers stand in the exchange's response and record; whoever
 * sends it takes `answer` from here.
 */
export type LocalReplyRules = (exchange: FormatContext & { readonly response: ResponseHead }, answer: Answer) => void

interface Mapper {
  matches: LogFilter
  status: number | null
  body: string | null
  edits: HeaderEdits | null
  format: BodyFormat | null
}

/** Compiles local_reply_config. */
export function compileLocalReply(source: LocalReplyConfig, path: string, runtime: Runtime): LocalReplyRules {
  const mappers = source.mappers.map((mapper, i) => compileMapper(mapper, `${path}.mappers[${i}]`, runtime))
  const shared = compileBodyFormat(source.bodyFormat, `${path}.body_format`)
  return (exchange, answer) => {
    const { info, response } = exchange
    // The first that matches is the only one.
    const mapper = mappers.find(({ matches }) => matches(exchange))
    if (mapper !== undefined) {
      if (mapper.body !== null) {
        answer.body = mapper.body
        info.localReplyBody = wireText(mapper.body)
      }
      mapper.edits?.onResponse(exchange, response.headers)
      if (mapper.status !== null) {
        answer.status = mapper.status
        response.status = mapper.status
        info.responseCode = mapper.status
      }
    }
    const format = mapper?.format ?? shared
    if (format === null) return
    answer.body = Buffer.from(format.text(exchange), 'latin1')
    answer.contentType = format.contentType
  }
}

function compileMapper(source: ResponseMapper, path: string, runtime: Runtime): Mapper {
  if (source.filter === undefined) throw invalid(`${path}.filter`, 'a filter is needed')
  return {
    matches: compileLogFilter(source.filter, `${path}.filter`, runtime),
    status: source.statusCode ?? null,
    body: source.body === undefined ? null : readDataSource(source.body, `${path}.body`).toString(),
    edits: compileHeaderEdits(
      {
        requestHeadersToAdd: [],
        requestHeadersToRemove: [],
        responseHeadersToAdd: source.headersToAdd,
        responseHeadersToRemove: [],
      },
      path,
    ),
    format: compileBodyFormat(source.bodyFormatOverride, `${path}.body_format_override`),
  }
}
