import { isIP } from 'node:net'
import type { InterceptionSettings } from './settings.ts'

export type Family = 'v4' | 'v6'

/** The rules of one table: chains of our own, and the jumps to them from the kernel's. */
export interface Table {
  readonly name: 'nat' | 'mangle'
  readonly chains: readonly { readonly name: string; readonly rules: readonly string[] }[]
  readonly jumps: readonly string[]
}

/** Every chain that rules of ours are in begins with this; nobody else's does. */
const chainPrefix = 'WEFT_'

/** Loopback, and the address that calls to the application come from which have been through the proxy (Istio's). */
const addresses = {
  v4: { loopback: '127.0.0.1/32', applicationCaller: '127.0.0.6/32' },
  v6: { loopback: '::1/128', applicationCaller: '::6/128' },
} as const

/**
 * The rules that lead connections to a proxy, for one family of addresses: what a program of the namespace connects to goes
 * to the outbound port, what is connected to in it to the inbound port, and the proxy's own connections where they want to.
 */
export function interceptionRules(settings: InterceptionSettings, family: Family): Table[] {
  const tables: Table[] = [natTable(settings, family)]
  if (settings.mode === 'TPROXY' && catchesInbound(settings)) tables.push(mangleTable(settings, family))
  return tables
}

function catchesInbound({ inboundPorts }: InterceptionSettings): boolean {
  return inboundPorts === '*' || inboundPorts.length > 0
}

function natTable(settings: InterceptionSettings, family: Family): Table {
  const inbound = [
    ...settings.virtualInterfaces.flatMap((name) => virtualMachineRules(settings, family, name)),
    ...(settings.mode === 'REDIRECT' ? inboundRules(settings, 'WEFT_IN_REDIRECT') : []),
  ]
  const dns = settings.dnsPort !== undefined
  return {
    name: 'nat',
    chains: [
      { name: 'WEFT_REDIRECT', rules: [`-p tcp -j REDIRECT --to-ports ${settings.outboundPort}`] },
      { name: 'WEFT_IN_REDIRECT', rules: [`-p tcp -j REDIRECT --to-ports ${settings.inboundPort}`] },
      { name: 'WEFT_INBOUND', rules: inbound },
      { name: 'WEFT_OUTPUT', rules: outboundRules(settings, family) },
      ...(dns ? [{ name: 'WEFT_DNS', rules: dnsRules(settings) }] : []),
    ],
    jumps: [
      ...(inbound.length > 0 ? ['PREROUTING -p tcp -j WEFT_INBOUND'] : []),
      ...(dns ? ['OUTPUT -p udp -m udp --dport 53 -j WEFT_DNS', 'OUTPUT -p tcp -m tcp --dport 53 -j WEFT_DNS'] : []),
      'OUTPUT -p tcp -j WEFT_OUTPUT',
    ],
  }
}

function outboundRules(settings: InterceptionSettings, family: Family): string[] {
  const { loopback, applicationCaller } = addresses[family]
  const owners = ownersOf(settings)
  const included = ofFamily(settings.outboundRanges, family)
  const { outboundPorts } = settings
  return [
    ...settings.excludedInterfaces.map((name) => `-o ${name} -j RETURN`),
    ...settings.excludedOutboundPorts.map((port) => `-p tcp -m tcp --dport ${port} -j RETURN`),
    // To the application, by way of the proxy's inbound side already.
    `-o lo -s ${applicationCaller} -j RETURN`,
    // The program called its own service: what the proxy sends back to this machine goes through its inbound side.
    ...owners.map((owner) => `-o lo ! -d ${loopback} -p tcp -m owner ${owner} -j WEFT_IN_REDIRECT`),
    ...owners.map((owner) => `-m owner ${owner} -j RETURN`),
    // Programs of this machine among themselves.
    '-o lo -j RETURN',
    `-d ${loopback} -j RETURN`,
    ...ofFamily(settings.excludedOutboundRanges, family).map((range) => `-d ${range} -j RETURN`),
    ...(outboundPorts === '*'
      ? ['-j WEFT_REDIRECT']
      : outboundPorts.map((port) => `-p tcp -m tcp --dport ${port} -j WEFT_REDIRECT`)),
    ...included.map((range) => (range === '*' ? '-j WEFT_REDIRECT' : `-d ${range} -j WEFT_REDIRECT`)),
  ]
}

function inboundRules(settings: InterceptionSettings, target: string): string[] {
  const { inboundPorts } = settings
  if (!catchesInbound(settings)) return []
  return [
    ...settings.excludedInterfaces.map((name) => `-i ${name} -j RETURN`),
    ...settings.excludedInboundPorts.map((port) => `-p tcp -m tcp --dport ${port} -j RETURN`),
    ...(inboundPorts === '*'
      ? [`-p tcp -j ${target}`]
      : inboundPorts.map((port) => `-p tcp -m tcp --dport ${port} -j ${target}`)),
  ]
}

/** What a virtual machine behind this interface connects to. */
function virtualMachineRules(settings: InterceptionSettings, family: Family, name: string): string[] {
  return [
    ...ofFamily(settings.excludedOutboundRanges, family).map((range) => `-i ${name} -d ${range} -j RETURN`),
    ...ofFamily(settings.outboundRanges, family).map((range) =>
      range === '*' ? `-i ${name} -j WEFT_REDIRECT` : `-i ${name} -d ${range} -j WEFT_REDIRECT`,
    ),
    `-i ${name} -j RETURN`,
  ]
}

function dnsRules(settings: InterceptionSettings): string[] {
  return [
    ...ownersOf(settings).map((owner) => `-m owner ${owner} -j RETURN`),
    ...['udp', 'tcp'].map((protocol) => `-p ${protocol} -j REDIRECT --to-ports ${settings.dnsPort}`),
  ]
}

/** TPROXY leaves packets as they are and gives them to the proxy's socket: it sees where they were going without asking. */
function mangleTable(settings: InterceptionSettings, family: Family): Table {
  const mark = settings.tproxyMark
  const { loopback } = addresses[family]
  return {
    name: 'mangle',
    chains: [
      { name: 'WEFT_DIVERT', rules: [`-j MARK --set-mark ${mark}`, '-j ACCEPT'] },
      {
        name: 'WEFT_TPROXY',
        rules: [`! -d ${loopback} -p tcp -j TPROXY --tproxy-mark ${mark}/0xffffffff --on-port ${settings.inboundPort}`],
      },
      {
        name: 'WEFT_INBOUND',
        rules: [
          // What this machine sends itself was seen to in the table nat.
          '-i lo -j RETURN',
          ...settings.virtualInterfaces.map((name) => `-i ${name} -j RETURN`),
          // Answers to what was connected to from here.
          '-p tcp -m conntrack --ctdir REPLY -j RETURN',
          // Packets of connections that a transparent socket has taken.
          '-p tcp -m socket --transparent -j WEFT_DIVERT',
          ...inboundRules(settings, 'WEFT_TPROXY'),
        ],
      },
    ],
    jumps: ['PREROUTING -p tcp -j WEFT_INBOUND'],
  }
}

function ownersOf({ proxyUids, proxyGids }: InterceptionSettings): string[] {
  return [...proxyUids.map((uid) => `--uid-owner ${uid}`), ...proxyGids.map((gid) => `--gid-owner ${gid}`)]
}

function ofFamily(ranges: '*' | readonly string[], family: Family): readonly string[] {
  if (ranges === '*') return ['*']
  const version = family === 'v4' ? 4 : 6
  return ranges.filter((range) => isIP(range.split('/')[0] ?? '') === version)
}

/**
 * One table's rules for `iptables-restore --noflush`: all or nothing, and the same after any number of times. `saved` is what
 * `iptables-save` prints of the table now. Chains of ours that are not wanted any more go.
 */
export function restoreText(table: Table, saved: string): string {
  const wanted = new Set(table.chains.map(({ name }) => name))
  const left = savedChains(saved).filter((name) => !wanted.has(name))
  return [
    `*${table.name}`,
    ...table.chains.map(({ name }) => `:${name} - [0:0]`),
    ...left.map((name) => `:${name} - [0:0]`),
    ...savedJumps(saved).map((jump) => `-D ${jump}`),
    ...table.chains.flatMap(({ name, rules }) => rules.map((rule) => `-A ${name} ${rule}`)),
    ...table.jumps.map((jump) => `-A ${jump}`),
    ...left.map((name) => `-X ${name}`),
    'COMMIT',
    '',
  ].join('\n')
}

/** What takes our rules out of a table again, and nothing else; undefined when none are in it. */
export function cleanText(name: Table['name'], saved: string): string | undefined {
  const chains = savedChains(saved)
  const jumps = savedJumps(saved)
  if (chains.length === 0 && jumps.length === 0) return undefined
  return restoreText({ name, chains: [], jumps: [] }, saved)
}

/** Chains of ours that a table has. */
function savedChains(saved: string): string[] {
  return [...saved.matchAll(/^:(\S+) /gm)].map(([, name]) => name ?? '').filter((name) => name.startsWith(chainPrefix))
}

/** Rules of the kernel's own chains that lead to one of ours. */
export function savedJumps(saved: string): string[] {
  return [...saved.matchAll(/^-A (\S+)( .*)? -j (\S+)$/gm)]
    .filter(([, from = '', , to = '']) => !from.startsWith(chainPrefix) && to.startsWith(chainPrefix))
    .map(([line]) => line.slice('-A '.length))
}
