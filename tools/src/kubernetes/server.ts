import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClusterAccess } from '@weft/kubernetes/access'
import { KubernetesClient } from '@weft/kubernetes/client'
import { type Certificates, type KeyPair, makeCertificates } from '../certificates.ts'
import { freePort, type Running, start, until } from '../processes.ts'

const adminToken = 'admin-of-the-test'
const patienceMs = 300_000
const none = async (): Promise<undefined> => undefined

export interface KubernetesServerOptions {
  /** The folder with the binaries. */
  bin: string
  /** Controllers that run beside it; none by default: objects are what was written. */
  controllers?: readonly string[]
  /** Of the virtual addresses of services. */
  serviceRange?: string
}

/** A real kube-apiserver over an etcd of its own, on free ports of loopback. */
export class KubernetesServer {
  readonly folder: string
  readonly host = '127.0.0.1'
  readonly port: number
  readonly kubeconfig: string
  /** As an administrator. */
  readonly client: KubernetesClient
  readonly #options: KubernetesServerOptions
  readonly #etcdPort: number
  #certificates: Certificates | undefined
  #etcd: Running | undefined
  #api: Running | undefined
  #controllers: Running | undefined

  private constructor(options: KubernetesServerOptions, folder: string, port: number, etcdPort: number) {
    this.#options = options
    this.folder = folder
    this.port = port
    this.#etcdPort = etcdPort
    this.kubeconfig = join(folder, 'kubeconfig')
    this.client = new KubernetesClient(this.access(adminToken))
  }

  static async start(options: KubernetesServerOptions): Promise<KubernetesServer> {
    const folder = await mkdtemp(join(tmpdir(), 'weft-kubernetes-'))
    const server = new KubernetesServer(options, folder, await freePort(), await freePort())
    try {
      await server.#prepare()
      await server.#startEtcd()
      await server.startApi()
      await writeFile(server.kubeconfig, kubeconfigOf(server.url, server.#file('apiserver.crt'), adminToken), { mode: 0o600 })
      if (options.controllers !== undefined) await server.#startControllers(options.controllers)
      return server
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  get url(): string {
    return `https://${this.host}:${this.port}`
  }

  /** The certificate of a client that it knows as the user `client`, who has no rights. */
  get clientCertificate(): KeyPair {
    if (this.#certificates === undefined) throw new Error('the server was not started')
    return this.#certificates.client
  }

  /** Access with a token, which may be another each time. */
  access(token: string | (() => string)): ClusterAccess {
    const ca = this.#file('apiserver.crt')
    return {
      server: this.url,
      namespace: 'default',
      serverName: undefined,
      skipVerify: false,
      ca: () => readFile(ca, 'utf8'),
      token: async () => (typeof token === 'string' ? token : token()),
      clientCertificate: none,
    }
  }

  /** Runs kubectl as the administrator, while everything else goes on; gives what it printed, or throws with it. */
  kubectl(args: readonly string[], input?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { env: { ...process.env, KUBECONFIG: this.kubeconfig }, maxBuffer: 64 << 20 }
      const child = execFile(join(this.#options.bin, 'kubectl'), args, options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`kubectl ${args.join(' ')}: ${stderr.trim() || error.message}`))
      })
      // One that ends before it has read all says why by itself.
      child.stdin?.on('error', () => undefined).end(input)
    })
  }

  /** A token of a service account, as the kubelet projects it into a pod; a kubeconfig of it with `writeKubeconfig`. */
  async tokenOf(namespace: string, serviceAccount: string, more: { audiences?: string[]; pod?: string } = {}): Promise<string> {
    const { audiences, pod } = more
    const answer = await this.client.call({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          expirationSeconds: 3_600,
          ...(audiences === undefined ? {} : { audiences }),
          ...(pod === undefined ? {} : { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod } }),
        },
      },
    })
    const { token } = (answer as { status: { token: string } }).status
    return token
  }

  /** Writes a kubeconfig with a token, or with a user as YAML has it; gives its path. */
  async writeKubeconfig(name: string, user: string | object): Promise<string> {
    const path = join(this.folder, `${name}.kubeconfig`)
    await writeFile(path, kubeconfigOf(this.url, this.#file('apiserver.crt'), user), { mode: 0o600 })
    return path
  }

  /** Ends the API server and starts it again on what etcd has: it knows no older versions then. */
  async restart(): Promise<void> {
    await this.stopApi()
    await this.startApi()
  }

  async stopApi(): Promise<void> {
    await this.#api?.stop(5_000)
    this.#api = undefined
  }

  /** Ends the API server as a crash does. */
  async killApi(): Promise<void> {
    await this.#api?.stop(0)
    this.#api = undefined
  }

  async startApi(): Promise<void> {
    const { folder } = this
    const [key, publicKey] = [this.#file('sa.key'), this.#file('sa.pub')]
    const api = start([
      join(this.#options.bin, 'kube-apiserver'),
      ...[`--etcd-servers=http://127.0.0.1:${this.#etcdPort}`, `--bind-address=${this.host}`, `--advertise-address=${this.host}`],
      ...[`--secure-port=${this.port}`, `--cert-dir=${folder}`, '--endpoint-reconciler-type=none'],
      ...[`--token-auth-file=${this.#file('tokens.csv')}`, '--authorization-mode=RBAC', '--allow-privileged=true'],
      ...['--service-account-issuer=https://kubernetes.default.svc', `--service-account-key-file=${publicKey}`],
      ...[`--service-account-signing-key-file=${key}`],
      ...(this.#certificates === undefined ? [] : [`--client-ca-file=${this.#certificates.ca}`]),
      `--service-cluster-ip-range=${this.#options.serviceRange ?? '10.96.0.0/16'}`,
    ])
    this.#api = api
    const isReady = async (): Promise<boolean> =>
      existsSync(this.#file('apiserver.crt')) &&
      (await this.client.send({ path: '/readyz' }).then(
        ({ status }) => status === 200,
        () => false,
      ))
    await until(isReady, 'the API server to be ready', api, patienceMs)
  }

  async stop(): Promise<void> {
    await this.#controllers?.stop()
    await this.stopApi()
    await this.#etcd?.stop()
    this.client.close()
    await rm(this.folder, { recursive: true, force: true })
  }

  #file(name: string): string {
    return join(this.folder, name)
  }

  async #prepare(): Promise<void> {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    await writeFile(this.#file('sa.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 })
    await writeFile(this.#file('sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
    this.#certificates = makeCertificates(this.folder)
    await writeFile(this.#file('tokens.csv'), `${adminToken},admin,admin-uid,system:masters\n`, { mode: 0o600 })
  }

  async #startEtcd(): Promise<void> {
    const client = `http://127.0.0.1:${this.#etcdPort}`
    const peer = `http://127.0.0.1:${await freePort()}`
    this.#etcd = start([
      ...[join(this.#options.bin, 'etcd'), '--data-dir', this.#file('etcd'), '--unsafe-no-fsync'],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`],
    ])
  }

  async #startControllers(controllers: readonly string[]): Promise<void> {
    this.#controllers = start([
      ...[join(this.#options.bin, 'kube-controller-manager'), '--kubeconfig', this.kubeconfig],
      ...['--authentication-kubeconfig', this.kubeconfig, '--authorization-kubeconfig', this.kubeconfig],
      ...['--bind-address', this.host, '--secure-port', String(await freePort()), '--leader-elect=false'],
      ...[`--cert-dir=${this.folder}/controllers`, '--service-account-private-key-file', this.#file('sa.key')],
      ...['--root-ca-file', this.#file('apiserver.crt'), `--controllers=${controllers.join()}`],
    ])
  }
}

function kubeconfigOf(server: string, ca: string, user: string | object): string {
  return `apiVersion: v1
kind: Config
current-context: test
contexts: [{ name: test, context: { cluster: test, user: test } }]
clusters: [{ name: test, cluster: { server: "${server}", certificate-authority: "${ca}" } }]
users: [{ name: test, user: ${JSON.stringify(typeof user === 'string' ? { token: user } : user)} }]
`
}
