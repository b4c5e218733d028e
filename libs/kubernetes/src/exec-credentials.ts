import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'

const apiVersions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'] as const

/** The `exec` of a kubeconfig's user: a program that prints an ExecCredential. */
export const execSchema = z.looseObject({
  apiVersion: z.enum(apiVersions),
  command: z.string().min(1),
  args: z.array(z.string()).nullish(),
  env: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
  interactiveMode: z.enum(['Never', 'IfAvailable', 'Always']).default('IfAvailable'),
  provideClusterInfo: z.boolean().default(false),
  installHint: z.string().default(''),
})
type ExecConfig = z.infer<typeof execSchema>

const credentialSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.literal('ExecCredential'),
  status: z.looseObject({
    expirationTimestamp: z.string().optional(),
    token: z.string().optional(),
    clientCertificateData: z.string().optional(),
    clientKeyData: z.string().optional(),
  }),
})

export interface ExecCredentials {
  token: string | undefined
  certificate: { cert: string; key: string } | undefined
}

export interface ExecOptions {
  config: ExecConfig
  /** The kubeconfig's, by which a relative path of the command goes. */
  folder: string
  /** What the program is told of the cluster, where it asks for it. */
  cluster: () => Promise<Record<string, unknown>>
  /** A program that says nothing for so long is ended. */
  timeoutMs?: number
}

const maxOutputBytes = 1 << 20
/** Credentials are replaced this long before they expire, so that none does on its way. */
const earlyMs = 10_000

/**
 * The credentials of a program (client-go credential plugins, `client.authentication.k8s.io`): run when they are first asked for,
 * when they expire, and after `forget`. It is asked no questions: nobody is there to answer.
 */
export class ExecPlugin {
  readonly #options: ExecOptions
  #known: { credentials: ExecCredentials; untilMs: number } | undefined
  #running: Promise<ExecCredentials> | undefined

  constructor(options: ExecOptions) {
    this.#options = options
  }

  /** Throws `unavailable` with the program's words when it gives none. */
  async credentials(): Promise<ExecCredentials> {
    if (this.#known !== undefined && Date.now() < this.#known.untilMs) return this.#known.credentials
    this.#running ??= this.#ask().finally(() => {
      this.#running = undefined
    })
    return await this.#running
  }

  /** The server refused them: the next time the program is asked again. */
  forget(): void {
    this.#known = undefined
  }

  async #ask(): Promise<ExecCredentials> {
    const { command, apiVersion, installHint } = this.#options.config
    const fail = (message: string, cause?: unknown): WeftError =>
      new WeftError('unavailable', `the credential plugin ${command} ${message}`, {
        hint: installHint === '' ? undefined : installHint.slice(0, 500),
        cause,
      })
    const output = await this.#run().catch((cause: unknown) => {
      throw fail(`failed: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
    })
    const read = credentialSchema.safeParse(parsed(output))
    if (!read.success || read.data.apiVersion !== apiVersion) throw fail(`printed no ExecCredential of ${apiVersion}`)
    const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = read.data.status
    const certificate = cert === undefined || key === undefined ? undefined : { cert, key }
    if (token === undefined && certificate === undefined) throw fail('printed neither a token nor a certificate with its key')
    const expiryMs = expirationTimestamp === undefined ? Number.POSITIVE_INFINITY : Date.parse(expirationTimestamp)
    if (Number.isNaN(expiryMs)) throw fail(`printed an expirationTimestamp that is no time: ${expirationTimestamp}`)
    const credentials = { token, certificate }
    this.#known = { credentials, untilMs: expiryMs - earlyMs }
    return credentials
  }

  async #run(): Promise<string> {
    const { config, folder, cluster, timeoutMs = 60_000 } = this.#options
    const { apiVersion, command, args, env, provideClusterInfo } = config
    const spec = { interactive: false, ...(provideClusterInfo ? { cluster: await cluster() } : {}) }
    const environment = {
      ...process.env,
      ...Object.fromEntries((env ?? []).map(({ name, value }) => [name, value])),
      KUBERNETES_EXEC_INFO: JSON.stringify({ apiVersion, kind: 'ExecCredential', spec }),
    }
    const options = { env: environment, timeout: timeoutMs, maxBuffer: maxOutputBytes, killSignal: 'SIGKILL' } as const
    // A bare name is looked for on PATH.
    const file = command.includes('/') ? resolve(folder, command) : command
    return await new Promise((done, reject) => {
      const child = execFile(file, args ?? [], options, (error, stdout, stderr) => {
        if (error === null) return done(stdout)
        const isLong = error.message.includes('maxBuffer')
        if (child.killed && !isLong) return reject(new Error(`it was ended after ${timeoutMs} ms`))
        reject(
          isLong
            ? new Error(`it printed more than ${maxOutputBytes} bytes`)
            : new Error(stderr.trim().slice(-500) || error.message),
        )
      })
      child.stdin?.on('error', () => undefined).end()
    })
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
