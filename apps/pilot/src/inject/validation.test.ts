import { expect, test } from 'vitest'
import { answerValidation } from './validation.ts'

function review(object: unknown, more: object = {}): unknown {
  const request = { uid: 'u1', namespace: 'default', operation: 'CREATE', object, ...more }
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }
}

const virtualService = (spec: object): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'reviews', namespace: 'default', resourceVersion: '1', managedFields: [{}] },
  spec,
})
const good = virtualService({ hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }] }] })
const bad = virtualService({ hosts: ['reviews'], http: [{ route: [] }] })

test('an object that files would be refused for is refused, with all that is wrong and where', () => {
  const { response } = answerValidation(review(bad))
  expect(response).toMatchObject({ uid: 'u1', allowed: false, status: { code: 422 } })
  expect(response.status?.message).toContain('spec.http[0]')
  expect(response.status?.message).not.toContain('virtualservices.networking.istio.io')
})

test.each([
  ['a good one', review(good)],
  ['one that goes', review(bad, { operation: 'DELETE' })],
  ['a status', review(bad, { subResource: 'status' })],
  ['a kind that is none of ours', review({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } })],
  ['what has no object', review(null, { operation: 'DELETE' })],
])('%s is let through', (_, body) => {
  expect(answerValidation(body).response).toEqual({ uid: 'u1', allowed: true })
})

test('what is no review is told', () => {
  expect(() => answerValidation({ kind: 'Pod' })).toThrow('not an AdmissionReview')
})
