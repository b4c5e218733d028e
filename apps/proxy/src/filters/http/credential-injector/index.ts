import { CredentialInjector } from '@weft/contracts/envoy/extensions/filters/http/credential_injector/v3/credential_injector'
import { Generic } from '@weft/contracts/envoy/extensions/http/injected_credentials/generic/v3/generic'
import { headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { isPseudo } from '../../../routing/matchers/header-matcher.ts'
import type { FilterContext, FilterStatus, HttpFilterKind, HttpStream } from '../filter.ts'

/** Puts a credential into a request's headers. */
type Inject = (headers: HeaderTable) => 'injected' | 'already_exists' | 'failed'

/** `envoy.filters.http.credential_injector`: requests go on with a secret of the proxy's own, such as a token. */
export const credentialInjector: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.credential_injector.v3.CredentialInjector'],
  compile(bytes, context) {
    const source = CredentialInjector.decode(bytes)
    const inject = compileCredential(source, context)
    const counter = (name: string) => context.stats.counter(`${context.statPrefix}credential_injector.${name}`)
    const counters = {
      injected: counter('injected'),
      already_exists: counter('already_exists'),
      failed: counter('failed'),
    }
    const filter = {
      onRequestHeaders(stream: HttpStream): FilterStatus {
        const outcome = inject(stream.request.headers)
        counters[outcome].inc()
        if (outcome !== 'failed' || source.allowRequestWithoutCredential) return 'continue'
        stream.reply(401, 'Failed to inject credential.', { details: 'failed_to_inject_credential' })
        return 'stop'
      },
    }
    return { start: () => filter }
  },
}

function compileCredential({ credential, overwrite }: CredentialInjector, context: FilterContext): Inject {
  const config = credential?.typedConfig
  const type = config?.typeUrl.split('/').pop() ?? ''
  if (config === undefined) return context.fail('credential', 'a typed_config is needed')
  if (type !== 'envoy.extensions.http.injected_credentials.generic.v3.Generic')
    return context.fail('credential.typed_config', `credential '${type}' is not supported by this proxy`)
  const { header, headerValuePrefix, credential: secret } = Generic.decode(config.value)
  if (isPseudo(header)) return context.fail('credential.typed_config.header', `'${header}' is no header for credentials`)
  const name = headerName(header === '' ? 'authorization' : header.toLowerCase())
  const { secrets } = context
  return (headers) => {
    if (!overwrite && headers.has(name)) return 'already_exists'
    const known = secrets.get(secret?.name ?? '')
    // Files end with a line's end.
    const value = known?.type === 'generic' ? known.secret.replace(/[\r\n]+$/, '') : ''
    // One that would end its line the router refuses.
    if (value === '') return 'failed'
    headers.set(name, headerValuePrefix + value)
    return 'injected'
  }
}
