import type { IncomingHttpHeaders } from 'node:http'
import { WeftError } from '@weft/service/errors'
import { askApplication, type Probe, type ProbeAnswer, probeSchema } from './app-probe.ts'

const pathForm = /^\/(app-health\/[^/]+\/(livez|readyz|startupz)|app-lifecycle\/[^/]+\/(prestopz|poststartz))$/

/** What the kubelet asks through the agent, by the path it asks on. */
export class AppProbes {
  readonly #probes: ReadonlyMap<string, Probe>
  readonly #host: string

  /** Reads ISTIO_KUBE_APP_PROBERS; `host` is where the application listens. Throws `invalid_argument` with the path of a bad one. */
  constructor(json: string, host: string) {
    const probes = new Map<string, Probe>()
    let given: unknown
    try {
      given = json === '' ? {} : JSON.parse(json)
    } catch (cause) {
      throw new WeftError('invalid_argument', 'ISTIO_KUBE_APP_PROBERS is no JSON', { cause })
    }
    for (const [path, value] of Object.entries(given ?? {})) {
      const read = probeSchema.safeParse(value)
      // Commands the kubelet runs itself.
      if (read.data === undefined || !pathForm.test(path) || read.data.exec !== undefined) {
        throw new WeftError('invalid_argument', `ISTIO_KUBE_APP_PROBERS: ${path} is no HTTP, TCP or gRPC probe with a port`)
      }
      probes.set(path, read.data)
    }
    this.#probes = probes
    this.#host = host
  }

  /** Asks the application what stands behind a path; its answer, or undefined where nothing does. */
  async ask(path: string, headers: IncomingHttpHeaders): Promise<ProbeAnswer | undefined> {
    const probe = this.#probes.get(path)
    return probe === undefined ? undefined : await askApplication(probe, this.#host, headers)
  }
}
