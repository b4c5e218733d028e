import { z } from 'zod'
import { portNumber } from './workload.ts'

/** The part of a Kubernetes `v1 Service` that the file registry acts on; the rest is accepted and ignored. */
export const kubernetesServiceSchema = z.looseObject({
  selector: z.record(z.string(), z.string()).nullish(),
  clusterIP: z.string().nullish(),
  clusterIPs: z.array(z.string()).nullish(),
  ipFamilies: z.array(z.string()).nullish(),
  externalName: z.string().nullish(),
  trafficDistribution: z.string().nullish(),
  internalTrafficPolicy: z.string().nullish(),
  type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']).nullish(),
  ports: z
    .array(
      z.looseObject({
        name: z.string().nullish(),
        port: portNumber,
        /** A number, or the name of a port of the workload. */
        targetPort: z.union([portNumber, z.string()]).nullish(),
        protocol: z.enum(['TCP', 'UDP', 'SCTP']).nullish(),
        appProtocol: z.string().nullish(),
      }),
    )
    .nullish(),
})

export type KubernetesService = z.infer<typeof kubernetesServiceSchema>
