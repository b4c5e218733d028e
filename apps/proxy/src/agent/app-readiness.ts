import { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import { askApplication, probeSchema } from './app-probe.ts'

const seconds = z.number().min(0).max(86_400)
const count = z.int().min(0).max(1_000)

/** ProxyConfig's readinessProbe, which is a WorkloadGroup's too: a probe, how often, and how many answers in a row count. */
const readinessSchema = probeSchema.and(
  z.looseObject({
    initialDelaySeconds: seconds.default(0),
    periodSeconds: seconds.default(0),
    successThreshold: count.default(0),
    failureThreshold: count.default(0),
  }),
)

/** Where a machine's application listens, as Istio's agents have it. */
const ownHost = 'localhost'

/**
 * Asks a machine's application again and again whether it is ready, and calls `tell` with why it is not, or undefined when it is:
 * the first time it is known, and whenever it changes. Gives what ends it; throws `invalid_argument` for a probe that is none.
 */
export function followReadiness(value: unknown, tell: (problem: string | undefined) => void): () => void {
  const read = readinessSchema.safeParse(value)
  if (!read.success) {
    throw new WeftError('invalid_argument', `PROXY_CONFIG: readinessProbe: ${read.error.issues[0]?.message}`, {
      where: { path: ['readinessProbe', ...(read.error.issues[0]?.path ?? [])].join('.') },
    })
  }
  const probe = read.data
  const periodMs = (probe.periodSeconds || 10) * 1_000
  let ready: boolean | undefined
  let inARow = 0
  let last: boolean | undefined
  let timer: NodeJS.Timeout
  const look = async (): Promise<void> => {
    const { status, body } = await askApplication(probe, ownHost)
    const good = status >= 200 && status < 400
    inARow = good === last ? inARow + 1 : 1
    last = good
    const enough = (good ? probe.successThreshold || 1 : probe.failureThreshold || 3) <= inARow
    if (enough && ready !== good && !stopped) {
      ready = good
      tell(good ? undefined : `the readiness probe was answered ${status}: ${body.trim()}`)
    }
    if (!stopped) timer = setTimeout(() => void look(), periodMs)
  }
  let stopped = false
  timer = setTimeout(() => void look(), probe.initialDelaySeconds * 1_000)
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}
