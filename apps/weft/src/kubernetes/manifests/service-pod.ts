import type { InstallSettings } from '../install-settings.ts'

export interface ServicePod {
  part: string
  account: string
  labels: Record<string, string>
  args: string[]
  ports: { name: string; containerPort: number }[]
  resources: unknown
  /** ConfigMaps by the folder they are mounted at. */
  configMaps?: Record<string, string>
  /** Volume claims by the folder they are mounted at. */
  claims?: Record<string, string>
  /** Whether it proves itself to Citadel: by the token of its account, which Kubernetes rotates. */
  joins: boolean
}

const user = 1337
const tokenFile = '/var/run/secrets/tokens/istio-token'
const rootCertFile = '/var/run/secrets/istio/root-cert.pem'

/** How a service finds and is known to Citadel: flags of its command line. */
export function citadelFlags({ injection, namespace }: InstallSettings): string[] {
  const { global } = injection.values
  return [
    `--citadel-address=${global.caAddress || `citadel.${namespace}.svc:15012`}`,
    `--root-cert-file=${rootCertFile}`,
    `--join-token-file=${tokenFile}`,
  ]
}

/** The pod template of a service of the control plane: no root, nothing to write to but /tmp, no capability, probes on its admin port. */
export function servicePod(pod: ServicePod, settings: InstallSettings): Record<string, unknown> {
  const { global } = settings.injection.values
  const { hub, tag, imagePullPolicy, imagePullSecrets } = global
  const volumes: { volume: Record<string, unknown> & { name: string }; mountPath: string; readOnly: boolean }[] = [
    { volume: { name: 'tmp', emptyDir: {} }, mountPath: '/tmp', readOnly: false },
    ...Object.entries(pod.configMaps ?? {}).map(([mountPath, name]) => ({
      volume: { name, configMap: { name } },
      mountPath,
      readOnly: true,
    })),
  ]
  if (pod.joins) {
    const source = { serviceAccountToken: { path: 'istio-token', expirationSeconds: 43_200, audience: global.sds.token.aud } }
    const root = global.trustBundleName || 'istio-ca-root-cert'
    volumes.push(
      { volume: { name: 'istio-token', projected: { sources: [source] } }, mountPath: '/var/run/secrets/tokens', readOnly: true },
      { volume: { name: 'root', configMap: { name: root } }, mountPath: '/var/run/secrets/istio', readOnly: true },
    )
  }
  const claims = Object.entries(pod.claims ?? {}).map(([mountPath, name]) => ({ name, mountPath }))
  const admin = (path: string) => ({ httpGet: { path, port: 15_014 } })
  return {
    metadata: { labels: { ...pod.labels, 'sidecar.istio.io/inject': 'false' } },
    spec: {
      serviceAccountName: pod.account,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: user,
        runAsGroup: user,
        fsGroup: user,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      ...(imagePullSecrets.length === 0 ? {} : { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) }),
      containers: [
        {
          name: pod.part,
          image: `${hub}/${pod.part}:${tag}`,
          ...(imagePullPolicy === '' ? {} : { imagePullPolicy }),
          args: pod.args,
          ports: pod.ports.map((port) => ({ ...port, protocol: 'TCP' })),
          readinessProbe: { ...admin('/healthz/ready'), periodSeconds: 3, timeoutSeconds: 5 },
          livenessProbe: { ...admin('/healthz/live'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          resources: pod.resources,
          volumeMounts: [
            ...volumes.map(({ volume, mountPath, readOnly }) => ({
              name: volume.name,
              mountPath,
              ...(readOnly ? { readOnly } : {}),
            })),
            ...claims,
          ],
        },
      ],
      volumes: volumes.map(({ volume }) => volume),
    },
  }
}
