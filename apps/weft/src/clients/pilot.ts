import type {
  ApplyEvent,
  ApplyRequest,
  ApplyResponse,
  ConfigItem,
  ConfigList,
  ProxyStatusList,
  Refused,
} from '@weft/config/pilot-api'
import { type ErrorCode, WeftError } from '@weft/service/errors'
import { requireMesh, stateFolder } from '../mesh/state.ts'
import { readOperatorToken } from './citadel.ts'

/** How a command is told which Pilot it speaks to. */
export interface PilotOptions {
  stateDir?: string
  pilot?: string
  operatorTokenFile?: string
}

/** What an apply came to: applied, or refused with every problem. */
export type ApplyAnswer = { type: 'applied'; response: ApplyResponse } | { type: 'refused'; refused: Refused }

/** Time beyond the wait itself before an answer counts as missing. */
const answerTimeoutMs = 15_000

/** Pilot's HTTP API, on its admin address. */
export class PilotClient {
  readonly #origin: string
  readonly #tokenFile: string | undefined

  constructor(origin: string, tokenFile: string | undefined) {
    this.#origin = origin
    this.#tokenFile = tokenFile
  }

  /** The Pilot of the options, or that of the mesh that runs from the state folder. */
  static of(options: PilotOptions): PilotClient {
    if (options.pilot !== undefined) return new PilotClient(`http://${options.pilot}`, options.operatorTokenFile)
    const mesh = requireMesh(stateFolder(options.stateDir))
    return new PilotClient(`http://${mesh.pilot.admin}`, options.operatorTokenFile ?? mesh.citadel.operatorTokenFile)
  }

  async apply(files: ApplyRequest['files'], dryRun: boolean): Promise<ApplyAnswer> {
    const response = await this.#send('POST', `/v1/apply?dry_run=${dryRun}`, { files })
    if (response.ok) return { type: 'applied', response: (await response.json()) as ApplyResponse }
    const refused = await readRefusal(response)
    if (refused.problems === undefined) throw refusal(response.status, refused)
    return { type: 'refused', refused }
  }

  /** As `apply`, then `tell` hears each event until all proxies have answered or the time is over. */
  async applyAndWait(files: ApplyRequest['files'], timeoutS: number, tell: (event: ApplyEvent) => void): Promise<ApplyAnswer> {
    const response = await this.#send('POST', `/v1/apply?wait=true&timeout_s=${timeoutS}`, { files }, timeoutS * 1000)
    if (!response.ok) {
      const refused = await readRefusal(response)
      if (refused.problems === undefined) throw refusal(response.status, refused)
      return { type: 'refused', refused }
    }
    let applied: ApplyResponse | undefined
    for await (const line of linesOf(response)) {
      const event = JSON.parse(line) as ApplyEvent
      if (event.type === 'applied') applied = event
      tell(event)
    }
    if (applied === undefined) throw new WeftError('internal', 'Pilot did not say what it applied')
    return { type: 'applied', response: applied }
  }

  async list(kind?: string, namespace?: string): Promise<ConfigItem[]> {
    // A namespace alone is not a path of the API.
    const path = ['/v1/config', kind, kind === undefined ? undefined : namespace].filter((part) => part !== undefined).join('/')
    const { items } = await this.#read<ConfigList>(path)
    return namespace === undefined ? items : items.filter((item) => item.namespace === namespace)
  }

  async remove(kind: string, namespace: string, name: string): Promise<void> {
    const path = `/v1/config/${[kind, namespace, name].map(encodeURIComponent).join('/')}`
    const response = await this.#send('DELETE', path)
    if (!response.ok) throw refusal(response.status, await readRefusal(response))
    await response.arrayBuffer()
  }

  proxyStatus(): Promise<ProxyStatusList> {
    return this.#read<ProxyStatusList>('/v1/proxy-status')
  }

  async #read<Body>(path: string): Promise<Body> {
    const response = await this.#send('GET', path)
    if (!response.ok) throw refusal(response.status, await readRefusal(response))
    return (await response.json()) as Body
  }

  async #send(method: string, path: string, body?: unknown, moreMs = 0): Promise<Response> {
    const headers: Record<string, string> = {}
    if (body !== undefined) headers['content-type'] = 'application/json'
    if (method !== 'GET' && this.#tokenFile !== undefined) {
      headers['authorization'] = `Bearer ${await readOperatorToken(this.#tokenFile)}`
    }
    try {
      return await fetch(this.#origin + path, {
        method,
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(answerTimeoutMs + moreMs),
      })
    } catch (cause) {
      throw new WeftError('unavailable', `Pilot does not answer on ${this.#origin}`, {
        hint: 'see that it runs (weft ps), or name its admin address with --pilot',
        cause,
      })
    }
  }
}

async function readRefusal(response: Response): Promise<Refused> {
  const text = await response.text()
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body === 'object' && body !== null && 'error' in body) return body as Refused
  } catch {
    // No JSON: told as it is.
  }
  return { error: text.slice(0, 500) || response.statusText, code: 'internal' }
}

function refusal(status: number, { error }: Refused): WeftError {
  const codes: Record<number, ErrorCode> = {
    400: 'invalid_argument',
    401: 'unauthenticated',
    403: 'permission_denied',
    404: 'not_found',
  }
  return new WeftError(codes[status] ?? 'failed_precondition', error)
}

async function* linesOf(response: Response): AsyncGenerator<string> {
  let rest = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = parts.pop() ?? ''
    yield* parts.filter((line) => line !== '')
  }
  if (rest !== '') yield rest
}
