import { describe, expect, it } from 'vitest'
import type { Service } from '../../model/service.ts'
import { canMatch, type Destination } from './mixer-rules.ts'

const service: Service = {
  host: 'details.default.svc.cluster.local',
  name: 'details',
  namespace: 'default',
  addresses: [],
  ports: [],
  resolution: 'static',
  meshExternal: false,
  headless: false,
  exportTo: [],
  subjectAltNames: [],
  labels: {},
  createdMs: 0,
  origin: '',
  version: '',
}
const details: Destination = { service, namespace: 'default', labels: { app: 'details' }, workloadName: 'details-v1' }

describe('whether a rule can match a destination', () => {
  it.each([
    '',
    'destination.labels["app"] == "details"',
    'destination.labels["app"] == "details" && source.labels["app"] == "x"',
    'destination.labels["app"] == "ratings" || true',
    '!(source.name == "x" && destination.labels["app"] == "ratings")',
    'destination.labels["app"] | "ratings" == "ratings"',
  ])('may: %s', (expression) => {
    expect(canMatch(expression, details)).toBe(true)
  })

  it.each([
    'destination.labels["app"] == "ratings"',
    'destination.labels["app"] == "ratings" && (source.labels["app"] | "unknown") != "reviews"',
    'request.path == "/" && destination.service.host == "ratings.default.svc.cluster.local"',
    'context.reporter.kind == "outbound"',
  ])('cannot: %s', (expression) => {
    expect(canMatch(expression, details)).toBe(false)
  })
})
