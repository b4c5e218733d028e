import { describe, expect, it } from 'vitest'
import { parseConfigDocument } from '../../bootstrap/document.ts'
import { decodeDocuments } from './decode.ts'

const host = "virtual_hosts:\n- name: a\n  domains: ['*']\n"
const decode = (yaml: string) => decodeDocuments('envoy.config.route.v3.RouteConfiguration', [parseConfigDocument(yaml)])
const route = (text: string) => `${host}  routes: [{match: {prefix: /}, route: {cluster: c${text}}}]`

describe('what is read besides proto3 JSON', () => {
  // Each pair was given to Envoy 1.40, which takes both.
  it.each([
    ['a duration as a message', route(', timeout: {seconds: 3, nanos: 5000000}'), route(', timeout: 3.005s')],
    ['an enum word in lower case', `${route('')}\n  require_tls: external_only`, `${route('')}\n  require_tls: EXTERNAL_ONLY`],
    ['an enum number as text', `${route('')}\n  require_tls: '1'`, `${route('')}\n  require_tls: EXTERNAL_ONLY`],
    [
      'a boolean as text',
      `ignore_port_in_host_matching: 'True'\n${route('')}`,
      `ignore_port_in_host_matching: true\n${route('')}`,
    ],
    ['a wrapped value as a message', `validate_clusters: {value: true}\n${route('')}`, `validate_clusters: true\n${route('')}`],
    [
      'an Empty, which has no form of its own',
      `${host}  metadata: {typed_filter_metadata: {x: {'@type': type.googleapis.com/google.protobuf.Empty}}}`,
      `${host}  metadata: {typed_filter_metadata: {x: {'@type': type.googleapis.com/google.protobuf.Empty}}}`,
    ],
    ['one item for a list', route('').replace("['*']", "'*'"), route('')],
  ])('reads %s', (_what, written, canonical) => {
    expect(Buffer.from(decode(written))).toEqual(Buffer.from(decode(canonical)))
  })

  it.each([
    ['a duration with another field', route(', timeout: {hours: 3}')],
    ['a duration as a number', route(', timeout: 3')],
    ['an enum word that is none', `${route('')}\n  require_tls: external-only`],
    ['a number for a boolean', `ignore_port_in_host_matching: 1\n${route('')}`],
    ['a number for text', `name: 5\n${route('')}`],
  ])('refuses %s', (_what, written) => {
    expect(() => decode(written)).toThrow()
  })
})
