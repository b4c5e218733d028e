import { expect, test } from 'vitest'
import { isDnsLabel, keysOfTags, readHints } from './instance-facts.ts'

test('tags are keys and values, as Consul users and as Istio 1.0 write them', () => {
  expect(keysOfTags(['version=v1', 'zone|a', 'canary', 'url=http://x/?a=b', '=none'])).toEqual({
    version: 'v1',
    zone: 'a',
    canary: '',
    url: 'http://x/?a=b',
    '=none': '',
  })
})

test('hints are read, all else is a label', () => {
  const { labels, ...hints } = readHints({
    version: 'v1',
    protocol: 'grpc',
    'port-name': 'api',
    'service-port': '80',
    'extra-ports': 'admin=9000:19000/http, metrics=9100',
    locality: 'eu/eu-a/rack-1',
    weight: '3',
    sidecar: 'true',
    'service-account': 'reviews',
  })
  expect(labels).toEqual({ version: 'v1' })
  expect(hints).toMatchObject({ protocol: 'grpc', portName: 'api', servicePort: 80, weight: 3, sidecar: true })
  expect(hints.locality).toEqual({ region: 'eu', zone: 'eu-a', subZone: 'rack-1' })
  expect(hints.extraPorts).toEqual([
    { name: 'admin', servicePort: 9000, port: 19000, protocol: 'http' },
    { name: 'metrics', servicePort: 9100, port: 9100, protocol: undefined },
  ])
})

test('a hint that cannot be read is as if it were not there', () => {
  const hints = readHints({ 'service-port': '99999', weight: '-1', namespace: 'Not A Name', 'extra-ports': 'x=0,=1,y=80:99999' })
  expect(hints).toMatchObject({ servicePort: undefined, weight: undefined, namespace: undefined })
  expect(hints.extraPorts).toEqual([{ name: 'y', servicePort: 80, port: 80, protocol: undefined }])
})

test('names of the mesh are DNS labels', () => {
  expect(['a', 'a-1', 'x'.repeat(63)].filter(isDnsLabel)).toHaveLength(3)
  expect(['', '-a', 'a-', 'A', 'a.b', 'a_b', 'x'.repeat(64)].filter(isDnsLabel)).toEqual([])
})
