/** A Pilot's service account, and the rights that its registry, its configuration and its status writer need. */
export const pilotRole = `apiVersion: v1
kind: Namespace
metadata: { name: istio-system }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: pilot, namespace: istio-system }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: weft-pilot }
rules:
- { apiGroups: [""], resources: [services, pods, nodes, namespaces], verbs: [get, list, watch] }
- { apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch] }
- { apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get, list, watch] }
- apiGroups: &groups
  - networking.istio.io
  - security.istio.io
  - telemetry.istio.io
  - extensions.istio.io
  - authentication.istio.io
  - rbac.istio.io
  - config.istio.io
  resources: ["*"]
  verbs: [get, list, watch]
- { apiGroups: *groups, resources: ["*/status"], verbs: [get, update, patch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: weft-pilot }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: weft-pilot }
subjects: [{ kind: ServiceAccount, name: pilot, namespace: istio-system }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: weft-pilot, namespace: istio-system }
rules: [{ apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: weft-pilot, namespace: istio-system }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: weft-pilot }
subjects: [{ kind: ServiceAccount, name: pilot, namespace: istio-system }]
`

/** Citadel's service account, which may ask for reviews of tokens; and the gateway's, which may do nothing. */
export const citadelRole = `apiVersion: v1
kind: ServiceAccount
metadata: { name: citadel, namespace: istio-system }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: ingressgateway, namespace: istio-system }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: weft-citadel }
rules:
- { apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: weft-citadel }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: weft-citadel }
subjects: [{ kind: ServiceAccount, name: citadel, namespace: istio-system }]
`
