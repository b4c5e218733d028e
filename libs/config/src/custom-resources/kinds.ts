/** One kind of configuration as Kubernetes keeps it. */
export interface CustomResourceKind {
  readonly kind: string
  readonly group: string
  readonly plural: string
  readonly shortNames: readonly string[]
  /** The first is how objects are stored; all are served, with one schema. */
  readonly versions: readonly string[]
  /** The protobuf message of its spec; undefined where the spec is not read by one: everything is let through. */
  readonly message: string | undefined
  readonly scope: 'Namespaced' | 'Cluster'
  /** What `kubectl get` shows besides name and age. */
  readonly columns: readonly { name: string; path: string; type: string }[]
}

const networking = 'istio.networking.v1alpha3'
const security = 'istio.security.v1beta1'

/** A kind of Istio: its plural is its name and an s, its message is named as it is. */
function kindOf(
  group: string,
  versions: readonly string[],
  kind: string,
  more: Partial<CustomResourceKind> & { package?: string } = {},
): CustomResourceKind {
  const { package: name, ...rest } = more
  const plural = /[^aeiou]y$/.test(kind) ? kind.toLowerCase().replace(/y$/, 'ies') : `${kind.toLowerCase()}s`
  const message = name === undefined ? undefined : `${name}.${kind}`
  return { kind, group, plural, shortNames: [], versions, message, scope: 'Namespaced', columns: [], ...rest }
}

const column = (name: string, path: string, type = 'string') => ({ name, path, type })
const net = (kind: string, more: Partial<CustomResourceKind> = {}) =>
  kindOf('networking.istio.io', ['v1', 'v1beta1', 'v1alpha3'], kind, { package: networking, ...more })
const sec = (kind: string, more: Partial<CustomResourceKind> = {}) =>
  kindOf('security.istio.io', ['v1', 'v1beta1'], kind, { package: security, ...more })
const mixer = (kind: string, more: Partial<CustomResourceKind> = {}) => kindOf('config.istio.io', ['v1alpha2'], kind, more)

/** Every kind that Weft reads from Kubernetes: Istio's of today, those of Istio 1.0 that it still acts on, and Mixer's. */
export const customResourceKinds: readonly CustomResourceKind[] = [
  net('VirtualService', {
    shortNames: ['vs'],
    columns: [column('Gateways', '.spec.gateways'), column('Hosts', '.spec.hosts')],
  }),
  net('DestinationRule', { shortNames: ['dr'], columns: [column('Host', '.spec.host')] }),
  net('Gateway', { shortNames: ['gw'] }),
  net('ServiceEntry', {
    shortNames: ['se'],
    plural: 'serviceentries',
    columns: [column('Hosts', '.spec.hosts'), column('Location', '.spec.location'), column('Resolution', '.spec.resolution')],
  }),
  net('WorkloadEntry', { shortNames: ['we'], plural: 'workloadentries', columns: [column('Address', '.spec.address')] }),
  net('WorkloadGroup', { shortNames: ['wg'] }),
  net('Sidecar'),
  kindOf('networking.istio.io', ['v1alpha3'], 'EnvoyFilter'),
  kindOf('networking.istio.io', ['v1beta1'], 'ProxyConfig'),
  sec('PeerAuthentication', { shortNames: ['pa'], columns: [column('Mode', '.spec.mtls.mode')] }),
  sec('RequestAuthentication', { shortNames: ['ra'] }),
  sec('AuthorizationPolicy', { shortNames: ['ap'], columns: [column('Action', '.spec.action')] }),
  kindOf('telemetry.istio.io', ['v1', 'v1alpha1'], 'Telemetry', {
    package: 'istio.telemetry.v1alpha1',
    plural: 'telemetries',
    shortNames: ['telemetry'],
  }),
  kindOf('extensions.istio.io', ['v1alpha1'], 'WasmPlugin'),
  kindOf('authentication.istio.io', ['v1alpha1'], 'Policy'),
  kindOf('authentication.istio.io', ['v1alpha1'], 'MeshPolicy', { scope: 'Cluster' }),
  kindOf('rbac.istio.io', ['v1alpha1'], 'ServiceRole'),
  kindOf('rbac.istio.io', ['v1alpha1'], 'ServiceRoleBinding'),
  kindOf('rbac.istio.io', ['v1alpha1'], 'ClusterRbacConfig', { scope: 'Cluster' }),
  kindOf('rbac.istio.io', ['v1alpha1'], 'RbacConfig'),
  mixer('attributemanifest'),
  mixer('rule'),
  mixer('handler'),
  mixer('instance'),
  mixer('adapter'),
  mixer('template'),
  mixer('QuotaSpec'),
  mixer('QuotaSpecBinding'),
]

const byName = new Map(customResourceKinds.map((resource) => [`${resource.group}/${resource.kind}`, resource]))

/** How Kubernetes keeps the objects of an apiVersion and kind; undefined for kinds that are none of ours. */
export function customResourceOf(apiVersion: string, kind: string): CustomResourceKind | undefined {
  return byName.get(`${apiVersion.split('/', 1)[0]}/${kind}`)
}

/** What of Kubernetes itself Weft reads as configuration. */
export const ingressKinds: readonly CustomResourceKind[] = [
  kindOf('networking.k8s.io', ['v1'], 'Ingress', { plural: 'ingresses' }),
  kindOf('networking.k8s.io', ['v1'], 'IngressClass', { plural: 'ingressclasses', scope: 'Cluster' }),
]
