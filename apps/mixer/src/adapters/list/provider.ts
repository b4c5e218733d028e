import { setTimeout as delay } from 'node:timers/promises'
import { WeftError } from '@weft/service/errors'
import { parse } from 'yaml'
import type { HandlerEnvironment } from '../../adapter.ts'
import { type EntryList, type EntryType, entryList } from './entries.ts'

const MAX_BODY_BYTES = 16 << 20
const MAX_ENTRIES = 1_000_000
const FETCH_TIMEOUT_MS = 10_000
/** A handler opens after this time at the latest, with its list or without. */
const OPEN_WITHIN_MS = 2_000

export interface ProviderOptions {
  url: string
  entryType: EntryType
  /** Entries that are always in the list. */
  overrides: readonly string[]
  refreshMs: number
  /** How long a list may be used that could not be fetched again. */
  ttlMs: number
}

/** A list that is fetched over HTTP, and again while its handler lives. */
export interface Provider {
  /** The list as it is now; throws when there is none that is fresh enough. */
  current(): EntryList
  /** Fetches now. Resolves when done, successful or not. */
  refresh(): Promise<void>
  close(): void
}

/** Starts to fetch a list. Resolves after the first attempt, so that a handler that opens has its list, or after two seconds. */
export async function startProvider(options: ProviderOptions, environment: HandlerEnvironment): Promise<Provider> {
  const { url, entryType, overrides, refreshMs, ttlMs } = options
  const abort = new AbortController()
  let list: EntryList | undefined
  let fetchedAt = 0
  let lastError: WeftError | undefined
  let etag: string | undefined

  const refresh = async (): Promise<void> => {
    try {
      const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(Math.min(FETCH_TIMEOUT_MS, Math.max(refreshMs, 1_000)))])
      const response = await fetch(url, { signal, headers: etag === undefined ? {} : { 'if-none-match': etag } })
      if (response.status === 304 && list !== undefined) {
        await response.body?.cancel()
      } else {
        if (!response.ok) throw new Error(`answered ${response.status}`)
        list = entryList(entryType, [...parseBody(await readBounded(response)), ...overrides])
        etag = response.headers.get('etag') ?? undefined
      }
      fetchedAt = environment.now()
      if (lastError !== undefined) environment.logger.info({ handler: environment.name, url }, 'list fetched again')
      lastError = undefined
    } catch (cause) {
      if (abort.signal.aborted) return
      const error = new WeftError('unavailable', `${environment.name} cannot fetch its list from ${url}: ${reason(cause)}`, {
        hint: list === undefined ? 'checks follow the on-error choice until it comes' : `the list in use stays for ${ttlMs} ms`,
      })
      if (lastError === undefined) environment.logger.warn(error.describe())
      lastError = error
    }
  }

  await Promise.race([refresh(), delay(OPEN_WITHIN_MS, undefined, { ref: false })])
  const timer = setInterval(() => void refresh(), Math.max(refreshMs, 100))
  timer.unref()
  return {
    current() {
      if (list !== undefined && (lastError === undefined || environment.now() - fetchedAt <= ttlMs)) return list
      throw lastError ?? new WeftError('unavailable', `${environment.name} has no list yet`)
    },
    refresh,
    close() {
      clearInterval(timer)
      abort.abort()
    },
  }
}

/** A body is YAML with the entries under `whitelist` (or `blacklist`), or text with one entry a line. */
export function parseBody(body: string): string[] {
  if (/^\s*(whitelist|blacklist)\s*:/m.test(body)) {
    const document: unknown = parse(body, { maxAliasCount: 10 })
    if (typeof document === 'object' && document !== null) {
      const entries: unknown = Object.entries(document).find(([key]) => key === 'whitelist' || key === 'blacklist')?.[1]
      if (Array.isArray(entries)) return bounded(entries.map(String))
    }
  }
  return bounded(
    body
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== ''),
  )
}

function bounded(entries: string[]): string[] {
  if (entries.length > MAX_ENTRIES) throw new Error(`more than ${MAX_ENTRIES} entries`)
  return entries
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > MAX_BODY_BYTES) throw new Error(`more than ${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  return cause.cause instanceof Error ? `${cause.message}: ${cause.cause.message}` : cause.message
}
