import type { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { HeaderMutation } from '@weft/contracts/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation'
import { unsupported } from '../../../plan/problems.ts'
import { compileMutations, type HeadEdit } from '../../http/head-edit.ts'

const type = 'envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation'

/** Compiles early_header_mutation_extensions: edits of requests before anything else is read of them; null: there are none. */
export function compileEarlyEdits(extensions: readonly TypedExtensionConfig[], path: string): readonly HeadEdit[] | null {
  if (extensions.length === 0) return null
  return extensions.flatMap(({ name, typedConfig }, i) => {
    const at = `${path}[${i}].typed_config`
    if (typedConfig === undefined || !typedConfig.typeUrl.endsWith(`/${type}`))
      throw unsupported(at, `the early header mutation '${typedConfig?.typeUrl ?? name}'`)
    return compileMutations(HeaderMutation.decode(typedConfig.value).mutations, `${at}.mutations`)
  })
}
