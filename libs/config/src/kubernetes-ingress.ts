import { z } from 'zod'
import { portNumber } from './workload.ts'

const backend = z.looseObject({
  service: z
    .looseObject({
      name: z.string().min(1),
      port: z.looseObject({ number: portNumber.nullish(), name: z.string().nullish() }).nullish(),
    })
    .nullish(),
})
const absolutePath = z.string().refine((path) => path === '' || path.startsWith('/'), 'a path begins with /')
const host = z
  .string()
  .refine(
    (text) => /^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text),
    'a host is a DNS name in lower case; * may stand for its first label',
  )

/** The part of a Kubernetes `networking.k8s.io/v1 Ingress` that gateways act on; the rest is accepted and ignored. */
export const kubernetesIngressSchema = z.looseObject({
  ingressClassName: z.string().nullish(),
  defaultBackend: backend.nullish(),
  tls: z.array(z.looseObject({ hosts: z.array(host).nullish(), secretName: z.string().nullish() })).nullish(),
  rules: z
    .array(
      z.looseObject({
        host: z.union([host, z.literal('')]).nullish(),
        http: z
          .looseObject({
            paths: z.array(
              z.looseObject({
                path: absolutePath.nullish(),
                pathType: z.enum(['Exact', 'Prefix', 'ImplementationSpecific']).nullish(),
                backend,
              }),
            ),
          })
          .nullish(),
      }),
    )
    .nullish(),
})

/** The part of a Kubernetes `networking.k8s.io/v1 IngressClass` that says whose Ingresses they are. */
export const kubernetesIngressClassSchema = z.looseObject({ controller: z.string().nullish() })

export type KubernetesIngress = z.infer<typeof kubernetesIngressSchema>
export type KubernetesIngressClass = z.infer<typeof kubernetesIngressClassSchema>
