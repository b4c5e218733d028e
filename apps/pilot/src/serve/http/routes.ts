import type { ApplyResponse, ConfigItem, ConfigList, MeshStatus, ProxyStatusList, RegistryList } from '@weft/config/pilot-api'
import { describeProblem, hasErrors, type Problem } from '@weft/config/problem'
import type { Loaded } from '@weft/config/watch/loaded'
import { WeftError } from '@weft/service/errors'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { serviceKey } from '../../model/service.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Registry } from '../../registries/registry.ts'
import type { ConfigSource, Plan } from '../../sources/config-source.ts'
import type { MeshProblems } from '../../status/mesh-problems.ts'
import type { ProxyStatuses } from '../../status/proxy-statuses.ts'
import { followApply } from './apply.ts'
import { requestFiles } from './request-files.ts'
import type { WriteGuard } from './write-guard.ts'

export interface ApiParts {
  source: ConfigSource
  snapshot: () => Snapshot
  statuses: ProxyStatuses
  problems: MeshProblems
  registries: readonly Registry[]
  guard: WriteGuard
}

const flag = z
  .enum(['true', 'false', '1', '0', ''])
  .default('false')
  .transform((value) => value === 'true' || value === '1' || value === '')
const querySchema = z.object({
  dry_run: flag,
  wait: flag,
  timeout_s: z.coerce.number().positive().max(600).default(30),
  file: z.string().max(4096).optional(),
})

/** Pilot's HTTP API (libs/config/src/pilot-api.ts says what it takes and gives). */
export async function apiRoutes(server: FastifyInstance, parts: ApiParts): Promise<void> {
  const { source, snapshot, statuses, problems, registries, guard } = parts
  await server.register(async (api) => {
    // Bodies are read by our own YAML reader, which tells lines; JSON is YAML.
    api.removeAllContentTypeParsers()
    api.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))

    api.post('/v1/apply', async (request, reply) => {
      await guard(request)
      const query = readQuery(request.query)
      const files = requestFiles(request.body, query.file)
      const plan = query.dry_run ? source.plan(files) : await source.apply(files)
      if (hasErrors(plan.problems)) return refuse(reply, plan)
      const generation = snapshot().version
      const warnings = query.dry_run ? [] : atSender(problems.about(plan.results.map(({ object }) => object)), plan)
      const answer: ApplyResponse = {
        dryRun: query.dry_run,
        generation,
        results: plan.results,
        problems: [...plan.problems, ...warnings],
      }
      return answerWrite(reply, answer, query, statuses)
    })

    api.delete('/v1/config/:kind/:namespace/:name', async (request, reply) => {
      await guard(request)
      const query = readQuery(request.query)
      const loaded = findOne(request.params, source)
      const plan = await source.remove(loaded.key)
      return answerWrite(
        reply,
        { dryRun: false, generation: snapshot().version, results: plan.results, problems: [] },
        query,
        statuses,
      )
    })
  })

  for (const path of ['/v1/config', '/v1/config/:kind', '/v1/config/:kind/:namespace']) {
    server.get(path, async (request): Promise<ConfigList> => {
      const { kind, namespace } = readParams(request.params)
      const items = [...source.current.objects.values()]
        .filter(({ object }) => kind === undefined || object.kind.toLowerCase() === kind.toLowerCase())
        .filter(({ object }) => namespace === undefined || object.metadata.namespace === namespace)
        .map(configItem)
      return { generation: snapshot().version, items }
    })
  }
  server.get('/v1/config/:kind/:namespace/:name', async (request): Promise<ConfigList> => {
    return { generation: snapshot().version, items: [configItem(findOne(request.params, source))] }
  })
  server.get('/v1/proxy-status', async (): Promise<ProxyStatusList> => {
    return { generation: snapshot().version, proxies: statuses.list() }
  })
  server.get('/v1/status', async (): Promise<MeshStatus> => {
    return {
      generation: snapshot().version,
      objects: source.current.objects.size,
      problems: [...problems.current],
      nacks: statuses.nacks(),
      registries: registries.map(({ name, state: { synced, problem } }) => ({
        name,
        synced,
        ...(problem === undefined ? {} : { problem }),
      })),
    }
  })
  server.get('/v1/registry', async () => registryList(snapshot()))
}

/** Problems of objects in force, at the lines of the documents that were sent; what they override elsewhere is not theirs. */
function atSender(found: readonly Problem[], plan: Plan): Problem[] {
  const told = new Set(plan.problems.map(({ object, path, message }) => `${object} ${path} ${message}`))
  const files = new Map(plan.results.map(({ object, file }) => [object, file]))
  return found
    .filter(({ object, file }) => files.get(object ?? '') === file)
    .filter(({ object, path, message }) => !told.has(`${object} ${path} ${message}`))
    .map((problem) => {
      const document = plan.documents.get(problem.object ?? '')
      return document === undefined ? problem : { ...problem, file: document.file, line: document.lineOf(problem.path ?? '') }
    })
}

function answerWrite(
  reply: FastifyReply,
  answer: ApplyResponse,
  query: z.infer<typeof querySchema>,
  statuses: ProxyStatuses,
): FastifyReply {
  if (!query.wait || answer.dryRun) return reply.send(answer)
  return reply.type('application/x-ndjson').send(followApply(statuses, answer, query.timeout_s * 1_000))
}

function refuse(reply: FastifyReply, plan: Plan): FastifyReply {
  const errors = plan.problems.filter(({ severity }) => severity === 'error')
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
  return reply
    .code(400)
    .send({ error: `${describeProblem(errors[0]!)}${more}`, code: 'invalid_argument', problems: plan.problems })
}

function readQuery(query: unknown): z.infer<typeof querySchema> {
  const parsed = querySchema.safeParse(query)
  if (parsed.success) return parsed.data
  throw new WeftError('invalid_argument', `the query cannot be read: ${z.prettifyError(parsed.error)}`, {
    hint: 'dry_run, wait (true or false), timeout_s (up to 600), file',
  })
}

const paramsSchema = z.object({ kind: z.string().optional(), namespace: z.string().optional(), name: z.string().optional() })

function readParams(params: unknown): z.infer<typeof paramsSchema> {
  return paramsSchema.parse(params)
}

/** The object that a path names; its kind in any case. */
function findOne(params: unknown, source: ConfigSource): Loaded {
  const { kind = '', namespace = '', name = '' } = readParams(params)
  for (const loaded of source.current.objects.values()) {
    const { metadata } = loaded.object
    if (metadata.name !== name || metadata.namespace !== namespace) continue
    if (loaded.object.kind.toLowerCase() === kind.toLowerCase()) return loaded
  }
  throw new WeftError('not_found', `there is no ${kind} ${name} in namespace ${namespace}`)
}

function configItem({ key, object }: Loaded): ConfigItem {
  const { kind, apiVersion, metadata, document } = object
  const { namespace, name } = metadata
  return {
    object: key,
    kind,
    apiVersion,
    namespace,
    name,
    file: document.file,
    line: document.line,
    value: { ...document.value },
  }
}

function registryList(snapshot: Snapshot): RegistryList {
  return {
    generation: snapshot.version,
    services: snapshot.services.map((service) => ({
      host: service.host,
      name: service.name,
      namespace: service.namespace,
      resolution: service.resolution,
      ports: [...service.ports],
      endpoints: [...(snapshot.endpoints.get(serviceKey(service.namespace, service.host))?.byPort.values() ?? [])]
        .flat()
        .map((endpoint) => ({
          address: endpoint.address,
          port: endpoint.port,
          servicePort: endpoint.servicePort,
          workload: endpoint.workload.key,
          health: endpoint.workload.health,
          labels: endpoint.workload.labels,
        })),
      origin: service.origin,
    })),
  }
}
