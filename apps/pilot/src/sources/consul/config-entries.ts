import { z } from 'zod'

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')
const texts = z
  .array(z.string())
  .nullish()
  .transform((value) => value ?? [])
const pairs = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {})
const flag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false)
const count = z
  .number()
  .nullish()
  .transform((value) => value ?? 0)
const headers = z.object({ Add: pairs, Set: pairs, Remove: texts }).nullish()
const comparison = { Name: z.string(), Present: flag, Exact: text, Regex: text }

const routerSchema = z.object({
  Name: z.string(),
  Routes: z
    .array(
      z.object({
        Match: z
          .object({
            HTTP: z
              .object({
                ...{ PathExact: text, PathPrefix: text, PathRegex: text, Methods: texts },
                Header: z
                  .array(z.object({ ...comparison, Prefix: text, Suffix: text, Invert: flag }))
                  .nullish()
                  .transform((value) => value ?? []),
                QueryParam: z
                  .array(z.object(comparison))
                  .nullish()
                  .transform((value) => value ?? []),
              })
              .nullish(),
          })
          .nullish(),
        Destination: z
          .object({
            ...{ Service: text, ServiceSubset: text, PrefixRewrite: text, RequestTimeout: text, IdleTimeout: text },
            ...{ NumRetries: count, RetryOnConnectFailure: flag, RetryOn: texts },
            RetryOnStatusCodes: z
              .array(z.number())
              .nullish()
              .transform((value) => value ?? []),
            ...{ RequestHeaders: headers, ResponseHeaders: headers },
          })
          .nullish(),
      }),
    )
    .nullish()
    .transform((value) => value ?? []),
})

const splitterSchema = z.object({
  Name: z.string(),
  Splits: z.array(
    z.object({ Weight: count, Service: text, ServiceSubset: text, RequestHeaders: headers, ResponseHeaders: headers }),
  ),
})

const resolverSchema = z.object({
  Name: z.string(),
  DefaultSubset: text,
  Subsets: z
    .record(z.string(), z.object({ Filter: text }))
    .nullish()
    .transform((value) => value ?? {}),
  Redirect: z.object({ Service: text, ServiceSubset: text, Datacenter: text }).nullish(),
  Failover: z.record(z.string(), z.unknown()).nullish(),
  ConnectTimeout: text,
  LoadBalancer: z
    .object({
      Policy: text,
      RingHashConfig: z.object({ MinimumRingSize: count }).nullish(),
      HashPolicies: z
        .array(
          z.object({
            ...{ Field: text, FieldValue: text, SourceIP: flag },
            CookieConfig: z.object({ Session: flag, TTL: text, Path: text }).nullish(),
          }),
        )
        .nullish()
        .transform((value) => value ?? []),
    })
    .nullish(),
})

/** An intention, as /v1/connect/intentions lists them. */
const intentionSchema = z.object({
  SourceName: text,
  DestinationName: text,
  Action: text,
  Permissions: z.array(z.unknown()).nullish(),
})

export type ServiceRouter = z.infer<typeof routerSchema>
export type ServiceSplitter = z.infer<typeof splitterSchema>
export type ServiceResolver = z.infer<typeof resolverSchema>
export type Intention = z.infer<typeof intentionSchema>

/** What Consul has of a mesh's configuration, by service. */
export interface ConfigEntries {
  routers: ReadonlyMap<string, ServiceRouter>
  splitters: ReadonlyMap<string, ServiceSplitter>
  resolvers: ReadonlyMap<string, ServiceResolver>
  intentions: readonly Intention[]
}

const byName = <Entry extends { Name: string }>(entries: readonly Entry[]): Map<string, Entry> =>
  new Map(entries.map((entry) => [entry.Name, entry]))

/** Where each part is read from, and how an answer is understood. */
export const entryReaders = {
  routers: { path: '/v1/config/service-router', read: (body: unknown) => byName(z.array(routerSchema).parse(body)) },
  splitters: { path: '/v1/config/service-splitter', read: (body: unknown) => byName(z.array(splitterSchema).parse(body)) },
  resolvers: { path: '/v1/config/service-resolver', read: (body: unknown) => byName(z.array(resolverSchema).parse(body)) },
  intentions: {
    path: '/v1/connect/intentions',
    read: (body: unknown) => z.array(intentionSchema).nullable().parse(body) ?? [],
  },
} as const
