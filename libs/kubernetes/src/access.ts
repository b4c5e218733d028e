import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { parse } from 'yaml'
import { z } from 'zod'
import { ExecPlugin, execSchema } from './exec-credentials.ts'

/** How one API server is reached, and by which right. Files are read again when they change: tokens and certificates rotate. */
export interface ClusterAccess {
  /** `https://host:port`, with a path where the server stands behind one. */
  readonly server: string
  /** The namespace that requests without one are about. */
  readonly namespace: string
  /** The name to verify the server's certificate by; its host by default. */
  readonly serverName: string | undefined
  /** Set by hand in a kubeconfig alone: the server's certificate is not verified. */
  readonly skipVerify: boolean
  /** Root certificates of the server, PEM; the system's where undefined. */
  ca(): Promise<string | undefined>
  token(): Promise<string | undefined>
  clientCertificate(): Promise<{ cert: string; key: string } | undefined>
  /** Told when the server does not take the credentials (401), where others may be had. */
  refused?(): void
}

/** Where Kubernetes mounts a pod's credentials. */
const podFolder = '/var/run/secrets/kubernetes.io/serviceaccount'
const maxFileBytes = 1 << 20

/**
 * The access that is there: the kubeconfig that is named (or by KUBECONFIG), a pod's own service account, or `~/.kube/config`,
 * in this order. Throws `failed_precondition` that says what was looked for.
 */
export async function findAccess(
  options: { kubeconfig?: string | undefined; context?: string | undefined } = {},
  env: NodeJS.ProcessEnv = process.env,
): Promise<ClusterAccess> {
  const named = options.kubeconfig ?? env['KUBECONFIG']
  if (named !== undefined && named !== '') return kubeconfigAccess(named, options.context)
  if (env['KUBERNETES_SERVICE_HOST'] !== undefined) return podAccess(env)
  const home = join(homedir(), '.kube/config')
  if (await isThere(home)) return kubeconfigAccess(home, options.context)
  throw new WeftError('failed_precondition', 'no access to Kubernetes: this is no pod, and there is no kubeconfig', {
    hint: 'name one with --kubeconfig, or set KUBECONFIG',
  })
}

/** The access of a pod by its service account: the token and the root certificates that Kubernetes mounts and rotates. */
export async function podAccess(env: NodeJS.ProcessEnv = process.env, folder = podFolder): Promise<ClusterAccess> {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? ''
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443'
  const token = fileReader(join(folder, 'token'))
  const namespace = (await readFile(join(folder, 'namespace'), 'utf8').catch(() => 'default')).trim()
  await token()
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    namespace,
    serverName: undefined,
    skipVerify: false,
    ca: fileReader(join(folder, 'ca.crt')),
    token: async () => (await token()).trim(),
    clientCertificate: async () => undefined,
  }
}

const text = z.string().optional()
const configSchema = z.looseObject({
  'current-context': text,
  contexts: z
    .array(z.looseObject({ name: z.string(), context: z.looseObject({ cluster: z.string(), user: text, namespace: text }) }))
    .default([]),
  clusters: z
    .array(
      z.looseObject({
        name: z.string(),
        cluster: z.looseObject({
          server: z.url({ protocol: /^https?$/ }),
          'certificate-authority': text,
          'certificate-authority-data': text,
          'insecure-skip-tls-verify': z.boolean().optional(),
          'tls-server-name': text,
          'proxy-url': text,
        }),
      }),
    )
    .default([]),
  users: z
    .array(
      z.looseObject({
        name: z.string(),
        user: z.looseObject({
          token: text,
          tokenFile: text,
          'client-certificate': text,
          'client-certificate-data': text,
          'client-key': text,
          'client-key-data': text,
          exec: execSchema.optional(),
        }),
      }),
    )
    .default([]),
})

/** What a kubeconfig may say and is not done here; saying nothing would be to act as somebody else, or to be refused without a word. */
const refusedOfUsers: Readonly<Record<string, string>> = {
  'auth-provider': 'auth providers are not called: write a token, a tokenFile or a client certificate',
  username: 'Kubernetes has no passwords any more: write a token',
  as: 'impersonation is not done: use credentials of that user',
}

/**
 * The access that a kubeconfig describes in `context`, or its current one. Paths in it are relative to its folder; a credential
 * plugin that it names is run. Throws `invalid_argument` with the path of what cannot be used.
 */
export async function kubeconfigAccess(file: string, context?: string): Promise<ClusterAccess> {
  const refuse = (message: string, path?: string, hint?: string, cause?: unknown): WeftError =>
    new WeftError('invalid_argument', message, { where: { file, ...(path === undefined ? {} : { path }) }, hint, cause })
  let content: unknown
  try {
    content = parse(await fileReader(file)(), { maxAliasCount: 100 })
  } catch (cause) {
    throw refuse(`the kubeconfig cannot be read: ${WeftError.from(cause).message}`, undefined, undefined, cause)
  }
  const read = configSchema.safeParse(content)
  if (!read.success) {
    const [issue] = read.error.issues
    throw refuse(`the kubeconfig cannot be used: ${issue?.message}`, issue?.path.join('.'))
  }
  const config = read.data
  const contextName = context ?? config['current-context'] ?? ''
  const chosen = config.contexts.find(({ name }) => name === contextName)?.context
  if (chosen === undefined) {
    const names = config.contexts.map(({ name }) => name).join(', ')
    throw refuse(`there is no context '${contextName}'`, 'current-context', `there are: ${names || 'none'}`)
  }
  const cluster = config.clusters.find(({ name }) => name === chosen.cluster)?.cluster
  if (cluster === undefined) throw refuse(`there is no cluster '${chosen.cluster}'`, 'clusters')
  if (cluster['proxy-url'] !== undefined) throw refuse('proxies towards the API server are not used', 'clusters: proxy-url')
  const user = config.users.find(({ name }) => name === chosen.user)?.user ?? {}
  if (chosen.user !== undefined && !config.users.some(({ name }) => name === chosen.user)) {
    throw refuse(`there is no user '${chosen.user}'`, 'users')
  }
  for (const [field, hint] of Object.entries(refusedOfUsers)) {
    if (Object.hasOwn(user, field)) throw refuse(`${field} cannot be used`, `users: ${field}`, hint)
  }
  if (user.exec?.interactiveMode === 'Always') {
    throw refuse('the credential plugin wants to ask questions', 'users: exec: interactiveMode', 'nobody is here to answer')
  }
  const folder = dirname(resolve(file))
  const dataOrFile = (data: string | undefined, path: string | undefined): (() => Promise<string | undefined>) => {
    if (data !== undefined) return async () => Buffer.from(data, 'base64').toString('utf8')
    return path === undefined ? async () => undefined : fileReader(resolve(folder, path))
  }
  const ca = dataOrFile(cluster['certificate-authority-data'], cluster['certificate-authority'])
  const cert = dataOrFile(user['client-certificate-data'], user['client-certificate'])
  const key = dataOrFile(user['client-key-data'], user['client-key'])
  const tokenFile = user.tokenFile === undefined ? undefined : fileReader(resolve(folder, user.tokenFile))
  const server = cluster.server.replace(/\/+$/, '')
  const common = {
    server,
    namespace: chosen.namespace ?? 'default',
    serverName: cluster['tls-server-name'],
    skipVerify: cluster['insecure-skip-tls-verify'] ?? false,
    ca,
  }
  if (user.exec !== undefined) {
    const describeCluster = async (): Promise<Record<string, unknown>> => ({
      server,
      'certificate-authority-data': Buffer.from((await ca()) ?? '').toString('base64'),
      ...(common.serverName === undefined ? {} : { 'tls-server-name': common.serverName }),
      ...(common.skipVerify ? { 'insecure-skip-tls-verify': true } : {}),
    })
    const plugin = new ExecPlugin({ config: user.exec, folder, cluster: describeCluster })
    return {
      ...common,
      token: async () => (await plugin.credentials()).token,
      clientCertificate: async () => (await plugin.credentials()).certificate,
      refused: () => plugin.forget(),
    }
  }
  return {
    ...common,
    token: async () => (tokenFile === undefined ? user.token : (await tokenFile()).trim()),
    clientCertificate: async () => {
      const [certPem, keyPem] = await Promise.all([cert(), key()])
      return certPem === undefined || keyPem === undefined ? undefined : { cert: certPem, key: keyPem }
    },
  }
}

/** Gives a file's content, read again only when it was written or replaced since. */
function fileReader(path: string): () => Promise<string> {
  let known: { identity: string; content: string } | undefined
  return async () => {
    try {
      const { ino, mtimeMs, size } = await stat(path)
      const identity = `${ino}:${mtimeMs}:${size}`
      if (known?.identity === identity) return known.content
      if (size > maxFileBytes) throw new Error(`larger than ${maxFileBytes} bytes`)
      known = { identity, content: await readFile(path, 'utf8') }
      return known.content
    } catch (cause) {
      throw new WeftError('unavailable', `credentials of Kubernetes cannot be read: ${WeftError.from(cause).message}`, {
        where: { file: path },
        cause,
      })
    }
  }
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
