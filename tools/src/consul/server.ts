import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KeyPair } from '../certificates.ts'
import { freePorts, type Running, start, until } from '../processes.ts'

export interface ConsulOptions {
  /** Default `dc1`. */
  datacenter?: string
  /** Port of a server of another datacenter that it joins over the WAN pool: tokens are its, which is the primary. */
  joins?: { wanPort: number; manager: string; datacenter: string }
  /** Its API is served over TLS too, to clients with a certificate of this authority. */
  tls?: { ca: string; server: KeyPair }
}

/** A real Consul server on loopback with a data folder, ACLs that deny by default, and a token that may do everything. */
export class ConsulServer {
  readonly port: number
  /** Where its API is served over TLS. */
  readonly tlsPort: number
  readonly wanPort: number
  /** Its own, gone when it is stopped. */
  readonly folder: string
  readonly #binary: string
  /** The token that may do everything. */
  readonly manager: string
  #running: Running

  private constructor(
    binary: string,
    folder: string,
    ports: { http: number; https: number; wan: number },
    manager: string,
    running: Running,
  ) {
    this.#binary = binary
    this.folder = folder
    this.port = ports.http
    this.tlsPort = ports.https
    this.wanPort = ports.wan
    this.manager = manager
    this.#running = running
  }

  /** Starts one; resolves when it has a leader. */
  static async start(binary: string, { datacenter = 'dc1', joins, tls }: ConsulOptions = {}): Promise<ConsulServer> {
    const folder = await mkdtemp(join(tmpdir(), 'weft-consul-'))
    const [http = 0, serf, rpc, https = 0, wan = 0] = await freePorts(5)
    const manager = joins?.manager ?? randomUUID()
    const config = {
      server: true,
      bootstrap_expect: 1,
      node_name: 'server',
      datacenter,
      ...(joins === undefined
        ? {}
        : { primary_datacenter: joins.datacenter, retry_join_wan: [`127.0.0.1:${joins.wanPort}`], retry_interval_wan: '1s' }),
      bind_addr: '127.0.0.1',
      client_addr: '127.0.0.1',
      disable_update_check: true,
      leave_on_terminate: false,
      ports: {
        ...{ http, https: tls === undefined ? -1 : https, dns: -1, grpc: -1, grpc_tls: -1 },
        ...{ serf_lan: serf, serf_wan: wan, server: rpc },
      },
      ...(tls === undefined
        ? {}
        : { tls: { https: { ca_file: tls.ca, cert_file: tls.server.cert, key_file: tls.server.key, verify_incoming: true } } }),
      acl: {
        ...{ enabled: true, default_policy: 'deny', enable_token_replication: joins !== undefined },
        tokens: joins === undefined ? { initial_management: manager } : { replication: manager },
      },
      performance: { raft_multiplier: 1 },
    }
    await writeFile(join(folder, 'config.json'), JSON.stringify(config))
    const server = new ConsulServer(binary, folder, { http, https, wan }, manager, launch(binary, folder))
    try {
      await server.#untilLed()
    } catch (error) {
      await server.stop()
      throw error
    }
    return server
  }

  get pid(): number {
    return this.#running.pid
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Ends it without a word, and starts it with the data it had. */
  async restart(): Promise<void> {
    await this.#running.stop()
    this.#running = launch(this.#binary, this.folder)
    await this.#untilLed()
  }

  /** Ends it, takes its data away, and starts it: its indexes begin anew. */
  async wipe(): Promise<void> {
    await this.#running.stop()
    await rm(join(this.folder, 'data'), { recursive: true, force: true })
    this.#running = launch(this.#binary, this.folder)
    await this.#untilLed()
  }

  /** A request with the token that may do everything; the parsed answer. Fails with what Consul said. */
  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { 'x-consul-token': this.manager },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`Consul answered ${method} ${path} with ${response.status}: ${text.slice(0, 500)}`)
    return text === '' ? undefined : JSON.parse(text)
  }

  /** Makes a token that may read services and nodes, and no more. */
  async readerToken(secret: string = randomUUID()): Promise<string> {
    const rules = 'service_prefix "" { policy = "read" }\nnode_prefix "" { policy = "read" }'
    const policies = (await this.call('GET', '/v1/acl/policies')) as { Name: string }[]
    if (!policies.some(({ Name }) => Name === 'mesh-reader')) {
      await this.call('PUT', '/v1/acl/policy', { Name: 'mesh-reader', Rules: rules })
    }
    await this.call('PUT', '/v1/acl/token', { SecretID: secret, Policies: [{ Name: 'mesh-reader' }] })
    return secret
  }

  async stop(): Promise<void> {
    await this.#running.stop()
    await rm(this.folder, { recursive: true, force: true })
  }

  async #untilLed(): Promise<void> {
    const isLed = async (): Promise<boolean> => {
      // A write shows that there is a leader, and that the tokens are in place.
      const response = await fetch(`${this.url}/v1/kv/is-led`, {
        method: 'PUT',
        body: 'yes',
        headers: { 'x-consul-token': this.manager },
      }).catch(() => undefined)
      return response?.status === 200
    }
    await until(isLed, 'Consul to have a leader', this.#running, 60_000)
  }
}

function launch(binary: string, folder: string): Running {
  return start([binary, 'agent', '-config-file', join(folder, 'config.json'), '-data-dir', join(folder, 'data')], {
    env: { ...process.env, GOMAXPROCS: '2' },
  })
}
