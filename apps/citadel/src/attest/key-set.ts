import { readFile } from 'node:fs/promises'
import { type JwtKey, parseJwks } from '@weft/identity/jwt'
import { WeftError } from '@weft/service/errors'

/** Key sets are kept this long, and fetched again for an unknown key at most this often. */
const freshMs = 5 * 60_000
const retryMs = 5_000

/** Longest key set that is read. */
const maxJwksBytes = 1 << 20
const fetchTimeoutMs = 3_000

/**
 * An issuer's keys, read by `read` when they are first asked for, are old, or one of them is not known. While they cannot be
 * read the last good ones go on being used. Gives the function that finds the keys for a token's `kid`.
 */
export function createKeySet(read: () => Promise<string>): (kid: unknown) => Promise<readonly JwtKey[]> {
  let keys: JwtKey[] = []
  let loadedAt = Number.NEGATIVE_INFINITY
  let loading: Promise<void> | undefined
  const load = async (): Promise<void> => {
    loading ??= read()
      .then((text) => {
        keys = parseJwks(text)
      })
      .finally(() => {
        // Also after a failure: callers are many, and the issuer is asked again only after a pause.
        loadedAt = performance.now()
        loading = undefined
      })
    await loading
  }
  return async (kid) => {
    const age = performance.now() - loadedAt
    const isUnknown = typeof kid === 'string' && !keys.some((key) => key.kid === kid)
    if (age > freshMs || ((isUnknown || keys.length === 0) && age > retryMs)) {
      await load().catch((error: unknown) => {
        if (keys.length === 0) throw error
      })
    }
    return keys
  }
}

/** A key set's text from an https or http URL, or a file; `flag` is where people said it. */
export async function readJwks(source: string, flag: string): Promise<string> {
  const unavailable = (reason: string, cause?: unknown): WeftError =>
    new WeftError('unavailable', `the issuer's keys cannot be read: ${reason}`, {
      where: { file: source },
      hint: `check ${flag}`,
      cause,
    })
  if (!/^https?:\/\//.test(source)) {
    return readFile(source, 'utf8').catch((cause: unknown) => {
      throw unavailable(WeftError.from(cause).message, cause)
    })
  }
  try {
    const response = await fetch(source, { signal: AbortSignal.timeout(fetchTimeoutMs), redirect: 'error' })
    if (!response.ok) throw new Error(`status ${response.status}`)
    let text = ''
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true })
      if (text.length > maxJwksBytes) throw new Error(`more than ${maxJwksBytes} bytes`)
    }
    return text
  } catch (cause) {
    throw unavailable(WeftError.from(cause).message, cause)
  }
}
