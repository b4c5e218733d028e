import type { X509Certificate } from 'node:crypto'
import {
  HttpConnectionManager_ForwardClientCertConfig as Config,
  HttpConnectionManager_SetCurrentClientCertDetails as Details,
  HttpConnectionManager_ForwardClientCertFormat as Format,
  HttpConnectionManager_ForwardClientCertDetails as Mode,
} from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { Matcher } from '@weft/contracts/xds/type/matcher/v3/matcher'
import { names } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { RequestHead } from '@weft/http/message'
import { expect, it } from 'vitest'
import type { TlsInfo } from '../../../transport/connection-info.ts'
import { applyClientCert, compileClientCertTree } from './forwarded-client-cert.ts'

const tls: TlsInfo = {
  version: 'TLSv1.3',
  cipher: '',
  alpn: '',
  serverName: '',
  localUris: ['spiffe://td/me'],
  peer: {
    subject: 'CN=client',
    issuer: 'CN=ca',
    uris: ['spiffe://td/client'],
    dnsNames: [],
    serialNumber: '1',
    fingerprint256: 'ab',
    pem: 'PEM',
    verified: true,
    validFrom: new Date(0),
    validTo: new Date(0),
  },
}

function forwarded(mode: Mode, details: Parameters<typeof Details.fromPartial>[0], before?: string): string | null {
  const headers = new HeaderTable()
  if (before !== undefined) headers.append(names.forwardedClientCert, before)
  applyClientCert(headers, tls, { mode, details: Details.fromPartial(details) })
  return headers.getAll(names.forwardedClientCert)
}

it('a chain is what the client sent, its own certificate first', () => {
  const pem = (text: string) => `-----BEGIN ${text}-----\n`
  const chain = ['own', 'above'].map((name) => ({ toString: () => pem(name) })) as unknown as X509Certificate[]
  const headers = new HeaderTable()
  const rules = { mode: Mode.SANITIZE_SET, details: Details.fromPartial({ chain: true }) }
  applyClientCert(headers, { ...tls, peer: { ...tls.peer!, chain } }, rules)
  const told = encodeURIComponent(pem('own') + pem('above'))
  expect(headers.getAll(names.forwardedClientCert)).toBe(`By=spiffe://td/me;Hash=ab;Chain="${told}"`)
})

it('who issued a certificate is told last', () => {
  expect(forwarded(Mode.SANITIZE_SET, { issuer: true, uri: true })).toBe(
    'By=spiffe://td/me;Hash=ab;URI=spiffe://td/client;Issuer="CN=ca"',
  )
})

it('a certificate is described in JSON', () => {
  expect(
    JSON.parse(
      forwarded(Mode.SANITIZE_SET, { format: Format.JSON, uri: true, dns: true, issuer: true, cert: true, chain: true }) ?? '',
    ),
  ).toEqual([{ by: ['spiffe://td/me'], hash: 'ab', cert: 'PEM', chain: ['PEM'], uri: ['spiffe://td/client'], issuer: 'CN=ca' }])
})

it('what is appended is in the format of what was there', () => {
  const element = '{"by":["spiffe://td/me"],"hash":"ab"}'
  const json = { format: Format.JSON }
  expect(forwarded(Mode.APPEND_FORWARD, json)).toBe(`[${element}]`)
  expect(forwarded(Mode.APPEND_FORWARD, json, '[{"hash":"1"}]')).toBe(`[{"hash":"1"},${element}]`)
  expect(forwarded(Mode.APPEND_FORWARD, {}, '[{"hash":"1"}]')).toBe(`[{"hash":"1"},${element}]`)
  expect(forwarded(Mode.APPEND_FORWARD, json, 'Hash=1')).toBe('Hash=1,By=spiffe://td/me;Hash=ab')
})

it('rules are chosen by what matches', () => {
  const typeUrl =
    'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ForwardClientCertConfig'
  const value = Config.encode(Config.fromPartial({ forwardClientCertDetails: Mode.SANITIZE_SET })).finish()
  const tree = (url: string) =>
    compileClientCertTree(
      Matcher.fromPartial({
        onNoMatch: {
          onMatch: { $case: 'action', value: { name: 'a', typedConfig: { typeUrl: url, value: Buffer.from(value) } } },
        },
      }),
      'at',
    )
  const request = new RequestHead()
  const connection = { remoteAddress: '', remotePort: 0, localAddress: '', localPort: 0, tls, serverName: '' }
  const subject = { request, connection, info: { downstreamRemoteAddress: '' }, filterState: new Map() }
  expect(tree(typeUrl)(subject)?.mode).toBe(Mode.SANITIZE_SET)
  expect(() => tree('type.googleapis.com/other')).toThrow("Didn't find a registered implementation")
})
