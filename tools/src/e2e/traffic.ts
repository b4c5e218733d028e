import { Agent, request as httpRequest } from 'node:http'

export interface Answer {
  status: number
  body: string
  headers: Record<string, string | string[] | undefined>
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 })

/** One request, without redirects; throws when the connection fails. */
export function get(url: string, headers: Record<string, string> = {}, timeoutMs = 20_000): Promise<Answer> {
  return send('GET', url, headers, undefined, timeoutMs)
}

export function send(
  method: string,
  url: string,
  headers: Record<string, string>,
  body: string | undefined,
  timeoutMs = 20_000,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent, timeout: timeoutMs }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }))
      response.on('error', reject)
    })
    request.on('timeout', () => request.destroy(new Error(`no answer from ${url} within ${timeoutMs} ms`)))
    request.on('error', reject)
    request.end(body)
  })
}

export interface TrafficResult {
  sent: number
  /** What went wrong, with how often. */
  failures: Map<string, number>
}

/** Traffic that goes on in the background until it is ended, and remembers every request that went wrong. */
export class Traffic {
  readonly #result: TrafficResult = { sent: 0, failures: new Map() }
  readonly #workers: Promise<void>[]
  #ended = false

  /** `judge` names what is wrong with an answer, or gives undefined. */
  constructor(url: string, workers: number, judge: (answer: Answer) => string | undefined, headers: Record<string, string> = {}) {
    this.#workers = Array.from({ length: workers }, () => this.#work(url, judge, headers))
  }

  get sent(): number {
    return this.#result.sent
  }

  /** The failures so far. */
  get failed(): number {
    return [...this.#result.failures.values()].reduce((sum, count) => sum + count, 0)
  }

  async end(): Promise<TrafficResult> {
    this.#ended = true
    await Promise.all(this.#workers)
    return this.#result
  }

  describe(): string {
    const failures = [...this.#result.failures].map(([what, count]) => `${count} × ${what}`)
    return `${this.#result.sent} requests, ${this.failed} failed${failures.length > 0 ? `: ${failures.join('; ')}` : ''}`
  }

  async #work(url: string, judge: (answer: Answer) => string | undefined, headers: Record<string, string>): Promise<void> {
    while (!this.#ended) {
      const problem = await get(url, headers).then(judge, (error: unknown) => String(error))
      this.#result.sent++
      if (problem === undefined) continue
      this.#result.failures.set(problem, (this.#result.failures.get(problem) ?? 0) + 1)
      // A mesh that fails at once must not be asked in a busy loop.
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

/** Sends `count` requests, `concurrency` at a time, and counts the answers by what `classify` says. */
export async function tally(
  url: string,
  count: number,
  concurrency: number,
  classify: (answer: Answer) => string,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  let left = count
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const kind = await get(url).then(classify, (error: unknown) => String(error))
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  return counts
}
