import { readFile } from 'node:fs/promises'
import { findCommand } from '../../peers.ts'
import { start } from '../../processes.ts'
import { root } from '../mesh-under-test.ts'

export interface Ran {
  code: number | null
  out: string
  err: string
}

/** The base images of our own, and those that are used as they are. */
const images = ['node:24-slim', 'redis:7', 'prom/prometheus:v2.42.0']

/** How Compose is called: WEFT_COMPOSE, `docker-compose` (1.29) or `docker compose` (v2). */
async function composeCommand(): Promise<string[] | undefined> {
  const stated = process.env['WEFT_COMPOSE']
  if (stated !== undefined) return stated.split(' ')
  const standalone = findCommand('docker-compose')
  if (standalone !== undefined) return [standalone]
  return (await run(['docker', 'compose', 'version'])).code === 0 ? ['docker', 'compose'] : undefined
}

function run(command: readonly string[], env: NodeJS.ProcessEnv = process.env, timeoutMs = 60_000): Promise<Ran> {
  const { child, stop } = start(command, { cwd: root, env })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
  const late = setTimeout(() => {
    err.push(Buffer.from(`not done within ${timeoutMs} ms`))
    void stop()
  }, timeoutMs)
  return new Promise((resolve) => {
    const done = (code: number | null): void => {
      clearTimeout(late)
      resolve({ code, out: Buffer.concat(out).toString('utf8'), err: Buffer.concat(err).toString('utf8') })
    }
    child.once('error', (error) => {
      err.push(Buffer.from(String(error)))
      done(null)
    })
    child.once('close', done)
  })
}

/** Why docker-compose.yml can't be tried here; undefined: it can. */
export async function composeProblem(): Promise<string | undefined> {
  const engine = await run(['docker', 'version', '--format', '{{.Server.Version}}'])
  if (engine.code !== 0) return `no Docker engine answers: ${engine.err.trim().split('\n').at(-1)}`
  if ((await composeCommand()) === undefined) return 'Docker Compose is not installed'
  for (const image of images) {
    if ((await run(['docker', 'image', 'inspect', image])).code === 0) continue
    const pulled = await run(['docker', 'pull', '-q', image], process.env, 600_000)
    if (pulled.code !== 0) return `the image ${image} is not here, and cannot be had: ${pulled.err.trim().split('\n').at(-1)}`
  }
  return undefined
}

/** docker-compose.yml as it stands in the repository, as a project of its own. */
export class ComposeProject {
  readonly name = `weft-e2e-${process.pid}`
  readonly #command: readonly string[]
  readonly #env: NodeJS.ProcessEnv

  private constructor(command: readonly string[], env: NodeJS.ProcessEnv) {
    this.#command = command
    this.#env = env
  }

  static async of(ports: { gateway: number; pilot: number; prometheus: number }): Promise<ComposeProject> {
    return new ComposeProject((await composeCommand()) ?? [], {
      ...process.env,
      WEFT_GATEWAY_PORT: String(ports.gateway),
      WEFT_PILOT_PORT: String(ports.pilot),
      WEFT_PROMETHEUS_PORT: String(ports.prometheus),
    })
  }

  compose(args: readonly string[], timeoutMs = 120_000): Promise<Ran> {
    return run([...this.#command, '-p', this.name, ...args], this.#env, timeoutMs)
  }

  docker(args: readonly string[], timeoutMs = 120_000): Promise<Ran> {
    return run(['docker', ...args], this.#env, timeoutMs)
  }

  /** What a Go template says of a container. */
  async inspect(container: string, template: string): Promise<string> {
    return (await this.docker(['inspect', '--format', template, container])).out.trim()
  }

  /** The containers of a service, one a replica. */
  async containers(service: string): Promise<string[]> {
    const labels = [`com.docker.compose.project=${this.name}`, `com.docker.compose.service=${service}`]
    const { out, err } = await this.docker(['ps', '-aq', ...labels.flatMap((label) => ['--filter', `label=${label}`])])
    const ids = linesOf(out)
    if (ids.length === 0) throw new Error(`service ${service} has no container: ${err}`)
    return ids
  }

  /** The container of a service that has one. */
  async container(service: string): Promise<string> {
    return (await this.containers(service))[0] ?? ''
  }

  /** What runs: state and health of each container. */
  async states(): Promise<{ service: string; status: string }[]> {
    const filter = `label=com.docker.compose.project=${this.name}`
    const format = '{{.Label "com.docker.compose.service"}}\t{{.Status}}'
    const { out } = await this.docker(['ps', '-a', '--filter', filter, '--format', format])
    return linesOf(out).map((line) => {
      const [service = '', status = ''] = line.split('\t')
      return { service, status }
    })
  }

  /** Everything of the project that there is: containers, networks, volumes. */
  async remains(): Promise<string[]> {
    const filter = ['--filter', `label=com.docker.compose.project=${this.name}`]
    const found: string[] = []
    for (const list of [
      ['ps', '-aq'],
      ['network', 'ls', '-q'],
      ['volume', 'ls', '-q'],
    ]) {
      found.push(...linesOf((await this.docker([...list, ...filter])).out))
    }
    return found
  }

  /** A program that nobody prepared for a mesh, in the network of a service's container: prints what `script` prints. */
  async program(service: string, script: string, timeoutMs = 120_000): Promise<Ran> {
    const network = `container:${await this.container(service)}`
    const limits = ['--rm', '--user', '4711:4711', '--cap-drop', 'ALL', '--network', network]
    return this.docker(['run', ...limits, 'node:24-slim', 'node', '--input-type=module', '-e', script], timeoutMs)
  }

  /** The processes of a container, the first of them first: what /proc says of each. */
  async processes(container: string): Promise<{ pid: number; uid: number; capabilities: bigint; command: string }[]> {
    const { out } = await this.docker(['top', container, '-eo', 'pid'])
    return Promise.all(
      linesOf(out)
        .slice(1)
        .map(async (text) => {
          const pid = Number(text)
          const status = await readFile(`/proc/${pid}/status`, 'utf8')
          const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim()
          const bounding = /^CapBnd:\s*(\w+)/m.exec(status)?.[1] ?? ''
          const permitted = /^CapPrm:\s*(\w+)/m.exec(status)?.[1] ?? ''
          const uid = Number(/^Uid:\s*(\d+)/m.exec(status)?.[1])
          return { pid, uid, capabilities: BigInt(`0x${bounding}`) | BigInt(`0x${permitted}`), command }
        }),
    )
  }

  /** Ends a process of a container as a crash would (the first one that `which` says): what `docker kill` ends stays down. */
  async crash(service: string, which: (command: string) => boolean = () => true): Promise<void> {
    const victim = (await this.processes(await this.container(service))).find(({ command }) => which(command))
    if (victim === undefined || !(victim.pid > 1)) throw new Error(`${service} has no such process`)
    process.kill(victim.pid, 'SIGKILL')
  }
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '')
}
