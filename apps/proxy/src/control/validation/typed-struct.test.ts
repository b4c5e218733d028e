import { descriptors } from '@weft/contracts/descriptors'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { FilterConfig } from '@weft/contracts/istio/filters/alpn'
import { TypedStruct } from '@weft/contracts/xds/type/v3/typed_struct'
import { describe, expect, test } from 'vitest'
import { expandResource, inspectBinary } from './decode.ts'

const at = 'type.googleapis.com/'
const alpn = `${at}istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig`

function structAny(type: string, value: Record<string, unknown>, wrapper = 'udpa.type.v1.TypedStruct') {
  return { typeUrl: at + wrapper, value: Buffer.from(TypedStruct.encode({ typeUrl: type, value }).finish()) }
}

function listenerWith(filter: { typeUrl: string; value: Buffer }, isOptional = false): Uint8Array {
  const httpFilters = [
    { name: 'f', isOptional, configType: { $case: 'typedConfig' as const, value: filter } },
    {
      name: 'r',
      configType: {
        $case: 'typedConfig' as const,
        value: { typeUrl: `${at}envoy.extensions.filters.http.router.v3.Router`, value: Buffer.alloc(0) },
      },
    },
  ]
  const manager = HttpConnectionManager.fromPartial({
    statPrefix: 's',
    httpFilters,
    routeSpecifier: { $case: 'routeConfig', value: { name: 'r' } },
  })
  const value = Buffer.from(HttpConnectionManager.encode(manager).finish())
  const typeUrl = `${at}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`
  const listener = Listener.fromPartial({
    name: 'l',
    address: {
      address: { $case: 'socketAddress', value: { address: '127.0.0.1', portSpecifier: { $case: 'portValue', value: 0 } } },
    },
    filterChains: [{ filters: [{ name: 'hcm', configType: { $case: 'typedConfig', value: { typeUrl, value } } }] }],
  })
  return Listener.encode(listener).finish()
}

function filterIn(listener: Uint8Array) {
  const config = Listener.decode(listener).filterChains[0]?.filters[0]?.configType
  if (config?.$case !== 'typedConfig') throw new Error('no filter')
  const inner = HttpConnectionManager.decode(config.value.value).httpFilters[0]?.configType
  if (inner?.$case !== 'typedConfig') throw new Error('no HTTP filter')
  return inner.value
}

const expand = (listener: Uint8Array) => expandResource('envoy.config.listener.v3.Listener', listener)
const inspect = (listener: Uint8Array) => inspectBinary('envoy.config.listener.v3.Listener', listener)

describe('what a TypedStruct holds', () => {
  test.each(['udpa.type.v1.TypedStruct', 'xds.type.v3.TypedStruct'])('stands in its place (%s)', (wrapper) => {
    const override = { alpn_override: [{ upstreamProtocol: 'HTTP2', alpn_override: ['istio-h2'] }] }
    const found = filterIn(expand(listenerWith(structAny(alpn, override, wrapper))))
    expect(found.typeUrl).toBe(alpn)
    expect(FilterConfig.decode(found.value).alpnOverride).toEqual([{ upstreamProtocol: 2, alpnOverride: ['istio-h2'] }])
  })

  test('may be another one', () => {
    const inner = { type_url: alpn, value: {} }
    const found = filterIn(expand(listenerWith(structAny(`${at}xds.type.v3.TypedStruct`, inner))))
    expect(found.typeUrl).toBe(alpn)
  })

  test('loses fields that its type does not have', () => {
    expect(filterIn(expand(listenerWith(structAny(alpn, { of_tomorrow: true })))).typeUrl).toBe(alpn)
  })

  test('leaves everything else as it was, byte for byte', () => {
    const plain = listenerWith({ typeUrl: alpn, value: Buffer.alloc(0) })
    expect(expand(plain)).toBe(plain)
    const unknown = listenerWith(structAny(`${at}no.such.Filter`, {}))
    expect(expand(unknown)).toBe(unknown)
    const broken = Buffer.from('TypedStruct, and no listener')
    expect(expand(broken)).toBe(broken)
  })

  test('is refused by the name of its own type where that is not known, and is no matter where it may be missing', () => {
    expect(() => inspect(expand(listenerWith(structAny(`${at}no.such.Filter`, {}))))).toThrow(/no\.such\.Filter/)
    expect(() => inspect(expand(listenerWith(structAny(`${at}no.such.Filter`, {}), true)))).not.toThrow()
  })

  test('is refused with its place where it is not of its type', () => {
    const wrong = expand(listenerWith(structAny(alpn, { alpn_override: 'h2' })))
    expect(() => inspect(wrong)).toThrow(/http_filters\[0\].*alpn_override\[0\]: must be a map/)
  })
})

test('descriptors know the messages that hold others', () => {
  for (const name of ['udpa.type.v1.TypedStruct', 'xds.type.v3.TypedStruct']) expect(descriptors().getMessage(name)).toBeDefined()
})
