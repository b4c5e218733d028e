import { z } from 'zod'

export const portNumber = z.number().int().min(1).max(65_535)

/** `spec` of `mesh.weft.dev/v1 Workload`: a process that `weft up` starts, and where the mesh finds it. */
export const workloadSchema = z.strictObject({
  command: z.string().min(1),
  args: z.array(z.string()).default([]),
  env: z.record(z.string(), z.coerce.string()).default({}),
  ports: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        number: portNumber,
        /** Istio's protocol names; from the port's name where absent. */
        protocol: z.string().optional(),
      }),
    )
    .default([]),
  replicas: z.number().int().min(0).max(100).default(1),
  serviceAccount: z.string().min(1).default('default'),
  labels: z.record(z.string(), z.string()).default({}),
  readiness: z.strictObject({ path: z.string().startsWith('/').default('/'), port: portNumber }).optional(),
  /** Where it runs already: then it is an endpoint as it stands, and nothing is started. */
  address: z.string().min(1).optional(),
})

export type WorkloadSpec = z.infer<typeof workloadSchema>
