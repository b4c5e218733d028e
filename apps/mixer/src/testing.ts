import type { WeftError } from '@weft/service/errors'
import { createLogger } from '@weft/service/logger'
import type { Adapter, Handle, HandlerEnvironment, QuotaCall, TemplateName } from './adapter.ts'
import { Exposition } from './adapters/prometheus/exposition.ts'

/** A handler opened without a Mixer around it, for tests and case suites. */
export interface TestHandler {
  readonly exposition: Exposition
  /** What it last said of its health. */
  readonly problem: WeftError | undefined
  /** Its function for a template; throws when it has none. */
  handle<Template extends TemplateName>(template: Template): Handle<Template>
  close(): Promise<void>
}

/** Opens a handler of an adapter with parameters as configuration has them. */
export async function openHandler(
  adapter: Adapter,
  params: unknown,
  options: Partial<Pick<HandlerEnvironment, 'name' | 'now' | 'redisUrl' | 'exposition'>> = {},
): Promise<TestHandler> {
  const abort = new AbortController()
  let problem: WeftError | undefined
  const exposition = options.exposition ?? new Exposition()
  const open = await adapter.open(params, {
    name: `test.${adapter.name}.default`,
    logger: createLogger('test', 'silent'),
    signal: abort.signal,
    now: () => performance.now(),
    health: (current) => {
      problem = current
    },
    redisUrl: undefined,
    ...options,
    exposition,
  })
  return {
    exposition,
    get problem() {
      return problem
    },
    handle<Template extends TemplateName>(template: Template): Handle<Template> {
      const handle = open.handles.get(template)
      if (handle === undefined) throw new Error(`${adapter.name} has no ${template}`)
      return handle as Handle<Template>
    },
    async close() {
      abort.abort()
      await open.close()
    },
  }
}

/** A quota call, with what a test does not care about filled in. */
export function quotaCall(call: Partial<QuotaCall>): QuotaCall {
  return { amount: 1, bestEffort: false, dedupId: '', signal: new AbortController().signal, ...call }
}
