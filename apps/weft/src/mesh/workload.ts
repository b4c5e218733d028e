import { workloadSchema as specSchema } from '@weft/config/workload'
import { z } from 'zod'

const name = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'a name is lower-case letters, digits and dashes')
  .max(63)

/** `apiVersion: mesh.weft.dev/v1, kind: Workload`: a program that `weft up` runs with a sidecar beside it. */
export const workloadSchema = z.strictObject({
  apiVersion: z.literal('mesh.weft.dev/v1'),
  kind: z.literal('Workload'),
  metadata: z.strictObject({
    name,
    namespace: name.default('default'),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  spec: specSchema,
})

export type Workload = z.infer<typeof workloadSchema>
