import { execFileSync, spawnSync } from 'node:child_process'
import { type Running, start } from '../../processes.ts'

/** A network namespace of this test, joined to the others by a bridge in the first one. */
export interface Namespace {
  readonly name: string
  readonly address: string
  readonly addressV6: string
}

/** Whom programs run as: proxies have a user of their own, by which rules know their connections. */
export type User = { type: 'root' } | { type: 'proxy'; netAdmin: boolean }

export const proxyUser = 1337

const run = (command: readonly string[]): string => {
  const [file = '', ...args] = command
  return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Why namespaces can't be had here; undefined: they can. */
export function namespaceProblem(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces and iptables need root'
  const script = 'iptables -w -t nat -L && ip6tables -w -t nat -L && ip link && command -v setpriv && command -v curl'
  const tried = spawnSync('unshare', ['--net', 'sh', '-ec', script], { encoding: 'utf8' })
  return tried.status === 0 ? undefined : (tried.error?.message ?? (tried.stderr || 'iptables, ip, setpriv or curl is missing'))
}

/** Namespaces on one network, 10.77.0.0/24 and fd77::/64, which nothing outside of them sees. */
export class Network {
  readonly core: Namespace
  private readonly names: string[] = []

  constructor() {
    this.core = this.create('core', 1)
    const inCore = (...command: string[]): string => run(['ip', '-n', this.core.name, ...command])
    inCore('link', 'add', 'mesh', 'type', 'bridge')
    inCore('addr', 'add', `${this.core.address}/24`, 'dev', 'mesh')
    inCore('-6', 'addr', 'add', `${this.core.addressV6}/64`, 'dev', 'mesh', 'nodad')
    inCore('link', 'set', 'mesh', 'up')
  }

  /** A namespace for one workload; all it does not know leads to the core. */
  add(role: string, number: number): Namespace {
    const one = this.create(role, number)
    const far = `port${number}`
    run(['ip', '-n', this.core.name, 'link', 'add', far, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', one.name])
    run(['ip', '-n', this.core.name, 'link', 'set', far, 'master', 'mesh', 'up'])
    const inside = (...command: string[]): string => run(['ip', '-n', one.name, ...command])
    inside('addr', 'add', `${one.address}/24`, 'dev', 'eth0')
    inside('-6', 'addr', 'add', `${one.addressV6}/64`, 'dev', 'eth0', 'nodad')
    inside('link', 'set', 'eth0', 'up')
    inside('route', 'add', 'default', 'via', this.core.address)
    inside('-6', 'route', 'add', 'default', 'via', this.core.addressV6)
    return one
  }

  private create(role: string, number: number): Namespace {
    const name = `weft-${process.pid}-${role}`
    run(['ip', 'netns', 'add', name])
    this.names.push(name)
    run(['ip', '-n', name, 'link', 'set', 'lo', 'up'])
    return { name, address: `10.77.0.${number}`, addressV6: `fd77::${number}` }
  }

  close(): void {
    for (const name of this.names.splice(0).reverse()) run(['ip', 'netns', 'del', name])
  }
}

function enter({ name }: Namespace, user: User): string[] {
  const namespace = ['nsenter', `--net=${name.includes('/') ? name : `/var/run/netns/${name}`}`, '--']
  if (user.type === 'root') return namespace
  const rights = user.netAdmin
    ? ['--inh-caps', '-all,+net_admin', '--ambient-caps', '-all,+net_admin', '--bounding-set', '-all,+net_admin']
    : ['--inh-caps', '-all', '--bounding-set', '-all']
  const id = String(proxyUser)
  return [...namespace, 'setpriv', '--reuid', id, '--regid', id, '--clear-groups', '--no-new-privs', ...rights]
}

/** Starts a program in a namespace; it ends by its own pid. */
export function startIn(namespace: Namespace, command: readonly string[], user: User = { type: 'root' }): Running {
  return start([...enter(namespace, user), ...command])
}

export interface Ran {
  code: number | null
  out: string
  err: string
}

/** Runs a program in a namespace to its end. */
export function runIn(namespace: Namespace, command: readonly string[], timeoutMs = 30_000): Ran {
  const [file = '', ...args] = [...enter(namespace, { type: 'root' }), ...command]
  const { status, stdout, stderr, error } = spawnSync(file, args, { encoding: 'utf8', timeout: timeoutMs })
  return { code: status, out: stdout ?? '', err: `${stderr ?? ''}${error === undefined ? '' : String(error)}` }
}
