import { CredentialInjector } from '@weft/contracts/envoy/extensions/filters/http/credential_injector/v3/credential_injector'
import { Generic } from '@weft/contracts/envoy/extensions/http/injected_credentials/generic/v3/generic'
import { headerName } from '@weft/http/header-name'
import { expect, onTestFinished, test } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { credentialInjector } from './index.ts'

interface Given {
  secret?: string
  headers?: Readonly<Record<string, string>>
  generic?: Parameters<typeof Generic.fromPartial>[0]
  filter?: Parameters<typeof CredentialInjector.fromPartial>[0]
}

function inject({ secret, headers = {}, generic = {}, filter = {} }: Given) {
  const context = new FakeContext()
  onTestFinished(() => context.close())
  if (secret !== undefined) context.secrets.set('token', { type: 'generic', secret })
  const value = Generic.encode(Generic.fromPartial({ credential: { name: 'token' }, ...generic })).finish()
  const typeUrl = 'type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic'
  const credential = { name: 'c', typedConfig: { typeUrl, value: Buffer.from(value) } }
  const source = CredentialInjector.encode(CredentialInjector.fromPartial({ credential, ...filter })).finish()
  const stream = new FakeStream({ headers })
  const status = credentialInjector.compile(source, context).start(stream, undefined)?.onRequestHeaders?.(stream, true)
  const header = (name: string) => stream.request.headers.getAll(headerName(name))
  const count = (name: string) => context.counter(`http.test.credential_injector.${name}`)
  return { status, stream, header, count }
}

test('a request goes on with the secret, without the end of its line', () => {
  const { status, header, count } = inject({ secret: 'Bearer abc\r\n' })
  expect(status).toBe('continue')
  expect(header('authorization')).toBe('Bearer abc')
  expect(count('injected')).toBe(1)
})

test('another header, and what stands before the secret', () => {
  const { header } = inject({ secret: 'abc', generic: { header: 'X-Token', headerValuePrefix: 'Token ' } })
  expect(header('x-token')).toBe('Token abc')
})

test('a credential that a request has stays, unless told otherwise', () => {
  const headers = { authorization: 'own' }
  const kept = inject({ secret: 'abc', headers })
  expect([kept.status, kept.header('authorization'), kept.count('already_exists')]).toEqual(['continue', 'own', 1])
  const replaced = inject({ secret: 'abc', headers, filter: { overwrite: true } })
  expect([replaced.header('authorization'), replaced.count('injected')]).toEqual(['abc', 1])
})

test.each([undefined, '', '\n'])('without a secret (%j) a request is refused', (secret) => {
  const { status, stream, header, count } = inject({ ...(secret === undefined ? {} : { secret }) })
  expect(status).toBe('stop')
  expect(stream.replied).toMatchObject({ status: 401, options: { details: 'failed_to_inject_credential' } })
  expect(header('authorization')).toBeNull()
  expect(count('failed')).toBe(1)
  expect(inject({ filter: { allowRequestWithoutCredential: true } }).status).toBe('continue')
})

test.each([':path', 'Host'])('%s takes no credential', (header) => {
  expect(() => inject({ secret: 'abc', generic: { header } })).toThrow(/no header for credentials/)
})
