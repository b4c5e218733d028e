import { spawnSync } from 'node:child_process'
import { findCommand } from '../../peers.ts'
import { root } from '../mesh-under-test.ts'

export interface Ran {
  code: number | null
  out: string
  err: string
}

/** The base images of our own, and those that are used as they are. */
const images = ['node:24-slim', 'redis:7', 'prom/prometheus:v2.42.0']

/** How Compose is called: WEFT_COMPOSE, `docker-compose` (1.29) or `docker compose` (v2). */
function composeCommand(): string[] | undefined {
  const stated = process.env['WEFT_COMPOSE']
  if (stated !== undefined) return stated.split(' ')
  const standalone = findCommand('docker-compose')
  if (standalone !== undefined) return [standalone]
  return run(['docker', 'compose', 'version']).code === 0 ? ['docker', 'compose'] : undefined
}

function run(command: readonly string[], env: NodeJS.ProcessEnv = process.env, timeoutMs = 60_000): Ran {
  const [file = '', ...args] = command
  const { status, stdout, stderr, error } = spawnSync(file, args, {
    cwd: root,
    env,
    encoding: 'utf8',
    timeout: timeoutMs,
    maxBuffer: 64 * 1024 * 1024,
  })
  return { code: status, out: stdout ?? '', err: `${stderr ?? ''}${error === undefined ? '' : String(error)}` }
}

/** Why docker-compose.yml can't be tried here; undefined: it can. */
export function composeProblem(): string | undefined {
  const engine = run(['docker', 'version', '--format', '{{.Server.Version}}'])
  if (engine.code !== 0) return `no Docker engine answers: ${engine.err.trim().split('\n').at(-1)}`
  if (composeCommand() === undefined) return 'Docker Compose is not installed'
  for (const image of images) {
    if (run(['docker', 'image', 'inspect', image]).code === 0) continue
    const pulled = run(['docker', 'pull', '-q', image], process.env, 600_000)
    if (pulled.code !== 0) return `the image ${image} is not here, and cannot be had: ${pulled.err.trim().split('\n').at(-1)}`
  }
  return undefined
}

/** docker-compose.yml as it stands in the repository, as a project of its own. */
export class ComposeProject {
  readonly name = `weft-e2e-${process.pid}`
  private readonly command = composeCommand() ?? []
  private readonly env: NodeJS.ProcessEnv

  constructor(ports: { gateway: number; pilot: number; prometheus: number }) {
    this.env = {
      ...process.env,
      WEFT_GATEWAY_PORT: String(ports.gateway),
      WEFT_PILOT_PORT: String(ports.pilot),
      WEFT_PROMETHEUS_PORT: String(ports.prometheus),
    }
  }

  compose(args: readonly string[], timeoutMs = 120_000): Ran {
    return run([...this.command, '-p', this.name, ...args], this.env, timeoutMs)
  }

  docker(args: readonly string[], timeoutMs = 120_000): Ran {
    return run(['docker', ...args], this.env, timeoutMs)
  }

  /** The container of a service. */
  container(service: string): string {
    const labels = [`com.docker.compose.project=${this.name}`, `com.docker.compose.service=${service}`]
    const { out, err } = this.docker(['ps', '-aq', ...labels.flatMap((label) => ['--filter', `label=${label}`])])
    const [id] = out.trim().split('\n')
    if (id === undefined || id === '') throw new Error(`service ${service} has no container: ${err}`)
    return id
  }

  /** What runs: state and health of each container. */
  states(): { service: string; status: string }[] {
    const filter = `label=com.docker.compose.project=${this.name}`
    const { out } = this.docker([
      'ps',
      '-a',
      '--filter',
      filter,
      '--format',
      '{{.Label "com.docker.compose.service"}}\t{{.Status}}',
    ])
    return out
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [service = '', status = ''] = line.split('\t')
        return { service, status }
      })
  }

  /** Everything of the project that there is: containers, networks, volumes. */
  remains(): string[] {
    const filter = ['--filter', `label=com.docker.compose.project=${this.name}`]
    return [
      ['ps', '-aq'],
      ['network', 'ls', '-q'],
      ['volume', 'ls', '-q'],
    ].flatMap((list) =>
      this.docker([...list, ...filter])
        .out.split('\n')
        .filter((line) => line !== ''),
    )
  }

  /** A program that nobody prepared for a mesh, in the network of a pod: prints what `script` prints. */
  program(pod: string, script: string, timeoutMs = 120_000): Ran {
    const network = `container:${this.container(pod)}`
    const limits = ['--rm', '--user', '4711:4711', '--cap-drop', 'ALL', '--network', network]
    return this.docker(['run', ...limits, 'node:24-slim', 'node', '--input-type=module', '-e', script], timeoutMs)
  }

  /** Ends a container's first process as a crash would: what `docker kill` ends stays down. */
  crash(service: string): void {
    const pid = Number(this.docker(['inspect', '--format', '{{.State.Pid}}', this.container(service)]).out.trim())
    if (!(pid > 1)) throw new Error(`${service} has no process`)
    process.kill(pid, 'SIGKILL')
  }
}
