import type { Http1ProtocolOptions } from '@weft/contracts/envoy/config/core/v3/protocol'
import {
  PreserveCaseFormatterConfig_FormatterTypeOnEnvoyHeaders as OnEnvoyHeaders,
  PreserveCaseFormatterConfig,
} from '@weft/contracts/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case'
import { type CaseOptions, lowerCase, properCase } from '@weft/http/header-casing'
import { unsupported } from './problems.ts'

/** Compiles header_key_format: the case in which HTTP/1.1 writes header names. */
export function compileHeaderCasing(options: Http1ProtocolOptions | undefined, path: string): CaseOptions {
  const format = options?.headerKeyFormat?.headerFormat
  switch (format?.$case) {
    case undefined:
      return lowerCase
    case 'properCaseWords':
      return { written: properCase, kept: null }
    case 'statefulFormatter': {
      const config = format.value.typedConfig
      const at = `${path}.header_key_format.stateful_formatter.typed_config`
      if (config === undefined || !config.typeUrl.endsWith('.preserve_case.v3.PreserveCaseFormatterConfig')) {
        throw unsupported(at, `header formatter '${config?.typeUrl ?? format.value.name}'`)
      }
      const { formatterTypeOnEnvoyHeaders, forwardReasonPhrase } = PreserveCaseFormatterConfig.decode(config.value)
      return {
        written: null,
        kept: {
          others: formatterTypeOnEnvoyHeaders === OnEnvoyHeaders.PROPER_CASE ? properCase : null,
          reason: forwardReasonPhrase,
        },
      }
    }
  }
}
