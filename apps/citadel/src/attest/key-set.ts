import { type JwtKey, parseJwks } from '@weft/identity/jwt'

/** Key sets are kept this long, and fetched again for an unknown key at most this often. */
const freshMs = 5 * 60_000
const retryMs = 5_000

/** Longest key set that is read. */
export const maxJwksBytes = 1 << 20

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
