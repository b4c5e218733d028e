import type { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import { BlockingQuery, type BlockingQueryOptions } from './blocking-query.ts'

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')
const serviceDefaultsSchema = z.array(z.object({ Name: z.string(), Protocol: text }))
const proxyDefaultsSchema = z.array(z.object({ Config: z.object({ protocol: text }).nullish() }))

/** What services speak that do not say so themselves: Consul's config entries `service-defaults` and `proxy-defaults`. */
export class DefaultProtocols {
  readonly #queries: readonly BlockingQuery[]
  #ofServices: ReadonlyMap<string, string> | undefined
  #ofAll: string | undefined

  constructor(
    options: Pick<BlockingQueryOptions, 'client' | 'query' | 'consistency'> & {
      /** Called after each change. */
      onChange: () => void
      onProblem: (kind: string, problem: WeftError | undefined) => void
    },
  ) {
    const { onChange, onProblem, ...common } = options
    this.#queries = [
      new BlockingQuery({
        ...{ ...common, path: '/v1/config/service-defaults', absent: [] },
        onProblem: (problem) => onProblem('service-defaults', problem),
        onAnswer: ({ body }) => {
          this.#ofServices = new Map(serviceDefaultsSchema.parse(body).map(({ Name, Protocol }) => [Name, Protocol]))
          onChange()
        },
      }),
      new BlockingQuery({
        ...{ ...common, path: '/v1/config/proxy-defaults', absent: [] },
        onProblem: (problem) => onProblem('proxy-defaults', problem),
        onAnswer: ({ body }) => {
          this.#ofAll = proxyDefaultsSchema.parse(body)[0]?.Config?.protocol ?? ''
          onChange()
        },
      }),
    ]
  }

  /** Both answers are in. */
  get isKnown(): boolean {
    return this.#ofServices !== undefined && this.#ofAll !== undefined
  }

  /** Undefined where nothing is said. */
  of(service: string): string | undefined {
    return this.#ofServices?.get(service) || this.#ofAll || undefined
  }

  async close(): Promise<void> {
    await Promise.all(this.#queries.map((query) => query.close()))
  }
}
