import { describe, expect, test } from 'vitest'
import { lookUpKind } from '../kind-lookup.ts'
import { customResourceDefinitions } from './definitions.ts'
import { customResourceKinds, customResourceOf } from './kinds.ts'
import type { Schema } from './schema.ts'

const definitions = customResourceDefinitions()

interface Version {
  name: string
  storage: boolean
  schema: { openAPIV3Schema: { properties: { spec: Schema; status: Schema } } }
}

function versionsOf(name: string): Version[] {
  const definition = definitions.find(({ metadata }) => metadata.name === name)
  return (definition?.spec['versions'] ?? []) as Version[]
}

function specOf(name: string): Schema {
  const [version] = versionsOf(name)
  if (version === undefined) throw new Error(`no ${name}`)
  return version.schema.openAPIV3Schema.properties.spec
}

test.each(customResourceKinds.flatMap(({ group, kind, versions }) => versions.map((version) => [`${group}/${version}`, kind])))(
  'what %s %s defines is a kind that is read, or passed over with a notice',
  (apiVersion, kind) => {
    expect(lookUpKind(apiVersion, kind).type).not.toBe('unknown')
    expect(customResourceOf(apiVersion, kind)?.kind).toBe(kind)
  },
)

test('exactly one version of each is stored', () => {
  for (const { metadata } of definitions) {
    expect(versionsOf(metadata.name).filter(({ storage }) => storage)).toHaveLength(1)
  }
})

test('all versions that are read of a kind are served', () => {
  expect(versionsOf('virtualservices.networking.istio.io').map(({ name }) => name)).toEqual(['v1', 'v1beta1', 'v1alpha3'])
})

describe('a schema', () => {
  const spec = specOf('virtualservices.networking.istio.io')
  const route = spec.properties?.['http']?.items?.properties

  test('has fields by their JSON names, lists, maps, enums and bounds', () => {
    expect(Object.keys(spec.properties ?? {})).toEqual(expect.arrayContaining(['hosts', 'http', 'exportTo']))
    expect(route?.['route']?.items?.properties?.['weight']).toEqual({ type: 'integer', format: 'int32' })
    expect(specOf('gateways.networking.istio.io').properties?.['selector']).toEqual({
      type: 'object',
      additionalProperties: { type: 'string' },
    })
    expect(specOf('authorizationpolicies.security.istio.io').properties?.['action']?.enum).toContain('DENY')
  })

  test.each([
    ['5s', true],
    ['1h30m', true],
    ['0.5s', true],
    ['.5s', true],
    ['0', true],
    ['-1ms', true],
    ['5', false],
    ['s', false],
    ['5 s', false],
    ['', false],
  ])('takes the duration "%s": %s', (text, good) => {
    expect(new RegExp(route?.['timeout']?.pattern ?? '').test(text)).toBe(good)
  })

  test('says that fields exclude each other', () => {
    const match = specOf('virtualservices.networking.istio.io').properties?.['http']?.items?.properties?.['match']?.items
      ?.properties
    expect(match?.['uri']?.oneOf).toEqual([
      { not: { anyOf: [{ required: ['exact'] }, { required: ['prefix'] }, { required: ['regex'] }] } },
      { required: ['exact'] },
      { required: ['prefix'] },
      { required: ['regex'] },
    ])
  })

  test('lets everything through where Weft does not read the kind by a message', () => {
    expect(specOf('rules.config.istio.io')).toEqual({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true })
  })
})
