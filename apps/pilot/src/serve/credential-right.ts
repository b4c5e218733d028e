import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import type { CredentialSource } from '../credentials/credential.ts'

export interface CredentialRightOptions {
  credentials: Pick<CredentialSource, 'mayRead'>
  namespace: string
  /** As the proxy's certificate proves it. */
  serviceAccount: string
  /** Told when the right is first known to be there, and whenever that changes. */
  changed: (may: boolean) => void
  logger: Logger
  /** How long an answer stands. Default 5 minutes. */
  againMs?: number
  /** How long until an unanswered question is asked again; until then the last answer stands. Default 10 s. */
  retryMs?: number
}

/** Follows whether a service account may have the credentials of its namespace; it may not until somebody says so. Gives what ends it. */
export function followCredentialRight(options: CredentialRightOptions): () => void {
  const { credentials, namespace, serviceAccount, changed, logger, againMs = 300_000, retryMs = 10_000 } = options
  let may = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  const ask = async (): Promise<void> => {
    let nextMs = againMs
    try {
      const answer = await credentials.mayRead(namespace, serviceAccount)
      if (answer !== may && !stopped) {
        may = answer
        changed(may)
      }
    } catch (thrown) {
      nextMs = retryMs
      const reason = WeftError.from(thrown).describe()
      if (!stopped) logger.warn({ namespace, serviceAccount }, `whether it may have credentials is asked again: ${reason}`)
    }
    if (!stopped) timer = setTimeout(() => void ask(), nextMs).unref()
  }
  void ask()
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}
