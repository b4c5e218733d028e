import { fromJsonString, getOption, toJsonString } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { descriptors, forgetDescriptors } from './descriptors.ts'

const clusterOf = () => {
  const type = descriptors().getMessage('envoy.config.cluster.v3.Cluster')
  if (type === undefined) throw new Error('no such type')
  return type
}

test('descriptors are made once, until they are forgotten, and then anew', () => {
  const type = clusterOf()
  expect(clusterOf()).toBe(type)
  expect(forgetDescriptors(60_000)).toBe(false)
  expect(clusterOf()).toBe(type)
  expect(forgetDescriptors(0)).toBe(true)
  expect(forgetDescriptors(0)).toBe(false)
  expect(clusterOf()).not.toBe(type)
})

test('who still holds older ones can go on with them, beside newer ones', () => {
  const old = clusterOf()
  forgetDescriptors(0)
  const message = fromJsonString(clusterOf(), '{"name":"a","connectTimeout":"5s"}')
  expect(toJsonString(old, message)).toBe('{"name":"a","connectTimeout":"5s"}')
  const deprecation = descriptors().getExtension('envoy.annotations.deprecated_at_minor_version')
  const field = old.fields.find(({ name }) => name === 'max_requests_per_connection')
  if (deprecation === undefined || field === undefined) throw new Error('no such field')
  expect(getOption(field, deprecation)).toBe('3.0')
})
