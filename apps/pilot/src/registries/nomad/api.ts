import { z } from 'zod'

/** The parts of Nomad's HTTP API that are acted on, as github.com/hashicorp/nomad/api names their fields. */

const texts = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {})

export const registrationSchema = z.object({
  ID: z.string(),
  ServiceName: z.string(),
  Namespace: z.string().default('default'),
  NodeID: z.string().default(''),
  Datacenter: z.string().default(''),
  JobID: z.string().default(''),
  AllocID: z.string().default(''),
  Tags: z
    .array(z.string())
    .nullish()
    .transform((value) => value ?? []),
  Address: z.string().default(''),
  Port: z.number().int().min(0).max(65_535).default(0),
  ModifyIndex: z.number().default(0),
})
export type Registration = z.infer<typeof registrationSchema>

/** `GET /v1/services`. */
export const serviceListSchema = z.array(
  z.object({ Namespace: z.string(), Services: z.array(z.object({ ServiceName: z.string() })) }),
)

/** `GET /v1/service/NAME`. */
export const registrationsSchema = z.array(registrationSchema)

/** `GET /v1/node/ID`. */
export const nodeSchema = z.object({ ID: z.string(), Datacenter: z.string().default(''), Meta: texts })
export type NomadNode = z.infer<typeof nodeSchema>

const serviceBlock = z.object({ Name: z.string().default(''), Checks: z.array(z.unknown()).nullish() })
const services = z.array(serviceBlock).nullish()
/** `GET /v1/job/ID`: which of its services have checks. */
export const jobSchema = z.object({
  TaskGroups: z.array(z.object({ Services: services, Tasks: z.array(z.object({ Services: services })).nullish() })).nullish(),
})

/** `GET /v1/client/allocation/ID/checks`. */
export const checksSchema = z
  .record(z.string(), z.object({ Service: z.string().default(''), Status: z.string().default('') }))
  .nullable()
export type Checks = z.infer<typeof checksSchema>

/** A line of `GET /v1/event/stream`; a heartbeat has no events. */
export const eventsSchema = z.object({
  Index: z.number().default(0),
  Events: z
    .array(
      z.object({
        Topic: z.string(),
        Type: z.string(),
        Key: z.string().default(''),
        Namespace: z.string().default('default'),
        Payload: z.record(z.string(), z.unknown()).nullish(),
      }),
    )
    .nullish(),
})
export type NomadEvent = NonNullable<z.infer<typeof eventsSchema>['Events']>[number]
