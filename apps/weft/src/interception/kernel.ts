import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { WeftError } from '@weft/service/errors'
import { cleanText, type Family, interceptionRules, restoreText, savedJumps, type Table } from './rules.ts'
import type { InterceptionSettings } from './settings.ts'

const tables: readonly Table['name'][] = ['nat', 'mangle']
const programs = { v4: 'iptables', v6: 'ip6tables' } as const
/** From where IPv6 calls to the application come: an address that has to be there. The IPv4 one lies in 127/8 and is. */
const applicationCallerV6 = '::6/128'

/**
 * The packet filter and the routes of a network namespace: this one, or the one with a name of `ip netns` or at a path. Each
 * call runs the system's `iptables`, `ip6tables` and `ip`; throws `failed_precondition` with what they said when they fail.
 */
export class Kernel {
  private readonly enter: readonly string[]

  constructor(namespace?: string) {
    if (namespace === undefined) this.enter = []
    else this.enter = ['nsenter', `--net=${namespace.includes('/') ? namespace : `/var/run/netns/${namespace}`}`, '--']
  }

  /** The families of addresses that are in use here. */
  families(): Family[] {
    const path = '/proc/net/if_inet6'
    const inet6 =
      this.enter.length > 0 ? this.run(['cat', path], undefined, 'quiet') : existsSync(path) ? readFileSync(path, 'utf8') : ''
    return inet6.trim() === '' ? ['v4'] : ['v4', 'v6']
  }

  /** Puts the rules of these settings in the place of those there are. */
  apply(settings: InterceptionSettings): void {
    for (const family of this.families()) {
      const wanted = interceptionRules(settings, family)
      for (const name of tables) {
        const saved = this.saved(family, name)
        const table = wanted.find((one) => one.name === name)
        const text = table === undefined ? cleanText(name, saved) : restoreText(table, saved)
        if (text !== undefined) this.restore(family, text)
      }
      if (family === 'v6') this.run(['ip', '-6', 'addr', 'replace', applicationCallerV6, 'dev', 'lo'])
      this.removeRoutes(family)
      if (settings.mode === 'TPROXY') this.addRoutes(family, settings)
    }
  }

  /** Takes out what `apply` put in. */
  clean(): void {
    for (const family of this.families()) {
      for (const name of tables) {
        const text = cleanText(name, this.saved(family, name))
        if (text !== undefined) this.restore(family, text)
      }
      this.removeRoutes(family)
      if (family === 'v6') this.run(['ip', '-6', 'addr', 'del', applicationCallerV6, 'dev', 'lo'], undefined, 'quiet')
    }
  }

  /** Throws `failed_precondition` when the rules of these settings are not in force. */
  verify(settings: InterceptionSettings): void {
    for (const family of this.families()) {
      for (const table of interceptionRules(settings, family)) {
        const saved = this.saved(family, table.name)
        const missing = table.jumps.length - savedJumps(saved).length
        if (missing > 0 || table.chains.some(({ name }) => !saved.includes(`\n:${name} `))) {
          throw new WeftError('failed_precondition', `connections are not led to the proxy: table ${table.name} lacks rules`, {
            where: { path: programs[family] },
            hint: 'weft iptables sets them',
          })
        }
      }
    }
  }

  private saved(family: Family, table: string): string {
    return this.run([`${programs[family]}-save`, '-t', table])
  }

  private restore(family: Family, text: string): void {
    this.run([`${programs[family]}-restore`, '--noflush', '--wait', '5'], text)
  }

  /** Packets that TPROXY marked are this machine's, whatever their address. */
  private addRoutes(family: Family, { tproxyMark, tproxyRouteTable: table }: InterceptionSettings): void {
    const ip = ['ip', family === 'v4' ? '-4' : '-6']
    this.run([...ip, 'rule', 'add', 'fwmark', String(tproxyMark), 'lookup', String(table), 'protocol', routeProtocol])
    this.run([...ip, 'route', 'replace', 'local', 'default', 'dev', 'lo', 'table', String(table), 'protocol', routeProtocol])
  }

  private removeRoutes(family: Family): void {
    const ip = ['ip', family === 'v4' ? '-4' : '-6']
    for (const line of this.run([...ip, '-details', 'rule', 'list']).split('\n')) {
      const priority = /^(\d+):/.exec(line)?.[1]
      if (priority !== undefined && line.trimEnd().endsWith(` proto ${routeProtocol}`))
        this.run([...ip, 'rule', 'del', 'priority', priority, 'protocol', routeProtocol])
    }
    this.run([...ip, 'route', 'flush', 'table', 'all', 'protocol', routeProtocol], undefined, 'quiet')
  }

  private run(command: readonly string[], input?: string, quiet?: 'quiet'): string {
    const [file = '', ...args] = [...this.enter, ...command]
    try {
      return execFileSync(file, args, {
        encoding: 'utf8',
        maxBuffer: 64 * 1024 * 1024,
        timeout: 30_000,
        stdio: ['pipe', 'pipe', 'pipe'],
        ...(input === undefined ? {} : { input }),
      })
    } catch (error) {
      if (quiet === 'quiet') return ''
      throw failed(command, error)
    }
  }
}

/** Marks the rules and routes that are ours, to find them again (any number that the system does not use). */
const routeProtocol = '133'

function failed(command: readonly string[], error: unknown): WeftError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
  const said = stderr === '' ? (error instanceof Error ? error.message : String(error)) : stderr
  const hint =
    code === 'ENOENT'
      ? 'install the packages iptables and iproute2'
      : /permission denied|not permitted|must be root/i.test(said)
        ? 'this needs root, or the capability NET_ADMIN'
        : undefined
  return new WeftError('failed_precondition', `${command.join(' ')}: ${said.slice(0, 1000)}`, { cause: error, hint })
}
