import { defaultMeshSettings, type MeshSettings } from '@weft/pilot/model/mesh-settings'
import { parseNode } from '@weft/pilot/scope/parse-node'
import { type Built, builtFrom } from '@weft/pilot/testing/built-for'
import { snapshotOf } from '@weft/pilot/testing/snapshot-of'
import { type JsonObject, object, optionalObject } from '../../read.ts'

/**
 * What Pilot gives a proxy for a case: its `config` (with `kubeConfig`), and its `proxy` as Istio's tests write one, with
 * their defaults (id app.test, namespace default, address 1.1.1.1).
 */
export function configurationOf(testCase: JsonObject): { built: Built; type: 'sidecar' | 'router' } {
  const proxy = optionalObject(testCase['proxy'], 'proxy')
  const metadata = optionalObject(proxy['Metadata'], 'proxy.Metadata')
  const text = (value: unknown, or: string): string => (typeof value === 'string' && value !== '' ? value : or)
  const type = proxy['Type'] === 'router' ? 'router' : 'sidecar'
  const namespace = text(metadata['Namespace'], text(proxy['ConfigNamespace'], 'default'))
  const addresses = Array.isArray(proxy['IPAddresses']) ? proxy['IPAddresses'].map(String) : ['1.1.1.1']
  const labels = object(proxy['Labels'] ?? metadata['Labels'] ?? {}, 'proxy.Labels')
  const node = parseNode({
    id: `${type}~${addresses[0]}~app.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { NAMESPACE: namespace, LABELS: labels, INSTANCE_IPS: addresses.join() },
    locality: undefined,
  })
  const policy = testCase['mesh_outboundTrafficPolicy']
  const mesh: MeshSettings = {
    ...defaultMeshSettings,
    outboundTrafficPolicy: policy === 'REGISTRY_ONLY' ? 'REGISTRY_ONLY' : 'ALLOW_ANY',
  }
  const yaml = [text(testCase['config'], ''), text(testCase['kubeConfig'], '')]
    .filter((part) => part.trim() !== '')
    .join('\n---\n')
  return { built: builtFrom(snapshotOf(yaml, mesh), node), type }
}
