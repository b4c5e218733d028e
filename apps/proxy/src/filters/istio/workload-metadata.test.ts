import { describe, expect, test } from 'vitest'
import { structBytes, workloadOfBaggage, workloadOfBytes, workloadOfEndpoint, workloadOfNode } from './workload-metadata.ts'

const labels = { app: 'reviews', version: 'v1', 'service.istio.io/canonical-name': 'reviews', role: 'shop', other: 'x' }
const metadata = {
  NAME: 'reviews-v1-abc',
  NAMESPACE: 'shop',
  WORKLOAD_NAME: 'reviews-v1',
  OWNER: 'kubernetes://apis/apps/v1/namespaces/shop/deployments/reviews-v1',
  CLUSTER_ID: 'Kubernetes',
  LABELS: labels,
  PROXY_CONFIG: { concurrency: 2 },
}
const node = { metadata, locality: { region: 'eu', zone: 'eu-1' } }

describe('a workload', () => {
  test('is told as its node has it, with the labels that are asked for', () => {
    const workload = workloadOfNode(node, new Set(['role', 'app']))
    const struct = workload.toStruct()
    expect(struct).toEqual({
      NAME: 'reviews-v1-abc',
      NAMESPACE: 'shop',
      WORKLOAD_NAME: 'reviews-v1',
      OWNER: metadata.OWNER,
      CLUSTER_ID: 'Kubernetes',
      LABELS: { app: 'reviews', version: 'v1', 'service.istio.io/canonical-name': 'reviews', role: 'shop' },
      REGION: 'eu',
      AVAILABILITY_ZONE: 'eu-1',
    })
    const heard = workloadOfBytes(structBytes(struct), new Set(['role']))
    expect(heard).toEqual(workload)
    expect(heard?.toJSON()).toEqual({
      type: 'deployment',
      workload: 'reviews-v1',
      name: 'reviews-v1-abc',
      cluster: 'Kubernetes',
      namespace: 'shop',
      service: 'reviews',
      app: 'reviews',
      version: 'v1',
      region: 'eu',
      availability_zone: 'eu-1',
      labels: { role: 'shop' },
    })
    expect(String(heard)).toContain('type=deployment,workload=reviews-v1')
  })

  test('is named by the labels that Kubernetes recommends before the short ones', () => {
    const own = { 'app.kubernetes.io/name': 'shop-reviews', app: 'reviews' }
    expect(workloadOfNode({ metadata: { LABELS: own } }).app).toBe('shop-reviews')
  })

  test('survives what is nothing of the kind', () => {
    const odd = workloadOfNode({ metadata: { NAME: 5, LABELS: 'x', OWNER: 'deployments', WORKLOAD_NAME: ['a'] } })
    expect(odd.toJSON()).toEqual({})
    expect(workloadOfBytes(Buffer.from('no struct'), new Set())).toBeNull()
  })

  test('is told and heard by baggage', () => {
    const { baggage } = workloadOfNode(node)
    expect(baggage).toBe(
      'k8s.deployment.name=reviews-v1,service.name=reviews,service.version=v1,k8s.namespace.name=shop,' +
        'k8s.cluster.name=Kubernetes,k8s.instance.name=reviews-v1-abc,cloud.region=eu,cloud.availability_zone=eu-1',
    )
    expect(workloadOfBaggage(baggage).toJSON()).toEqual({
      ...workloadOfNode(node).toJSON(),
      revision: 'v1',
    })
    expect(workloadOfBaggage('constructor=1,=,k8s.pod.name').toJSON()).toEqual({ type: 'pod' })
  })

  test('is told of by metadata of an endpoint', () => {
    expect(workloadOfEndpoint('reviews-v1;shop;reviews;v1;Kubernetes')?.toJSON()).toEqual({
      workload: 'reviews-v1',
      namespace: 'shop',
      service: 'reviews',
      revision: 'v1',
      cluster: 'Kubernetes',
    })
    for (const text of ['a;b;c;d', 5, undefined]) expect(workloadOfEndpoint(text)).toBeNull()
  })
})
