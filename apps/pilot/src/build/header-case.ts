import { Http1ProtocolOptions_HeaderKeyFormat as HeaderKeyFormat } from '@weft/contracts/envoy/config/core/v3/protocol'
import { PreserveCaseFormatterConfig } from '@weft/contracts/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case'
import { pack } from './wire.ts'

/** How names of HTTP/1.1 headers are written so that they keep the case they came in. */
export function preservedCase(): HeaderKeyFormat {
  const type = 'envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig'
  const typedConfig = pack(type, PreserveCaseFormatterConfig, PreserveCaseFormatterConfig.fromPartial({}))
  return HeaderKeyFormat.fromPartial({
    headerFormat: { $case: 'statefulFormatter', value: { name: 'preserve_case', typedConfig } },
  })
}
