import { isIP } from 'node:net'
import { WeftError } from '@weft/service/errors'

/** Ports, or all of them. */
type Ports = '*' | readonly number[]
/** Blocks of addresses (CIDR) of both families, or all addresses. */
type Ranges = '*' | readonly string[]

/** Which connections of a network namespace are led to a proxy in it. */
export interface InterceptionSettings {
  outboundPort: number
  inboundPort: number
  mode: 'REDIRECT' | 'TPROXY'
  /** Who the proxy runs as: its own connections are let through. */
  proxyUids: readonly number[]
  proxyGids: readonly number[]
  inboundPorts: Ports
  excludedInboundPorts: readonly number[]
  outboundRanges: Ranges
  excludedOutboundRanges: readonly string[]
  /** Ports that are caught outside of `outboundRanges` too. */
  outboundPorts: Ports
  excludedOutboundPorts: readonly number[]
  excludedInterfaces: readonly string[]
  /** Interfaces of virtual machines: what comes in by them is outbound. */
  virtualInterfaces: readonly string[]
  /** Where DNS questions are led to; undefined: they are let through. */
  dnsPort: number | undefined
  tproxyMark: number
  tproxyRouteTable: number
}

/** The settings as a command line has them: texts, most of them lists with commas. */
export interface InterceptionFlags {
  envoyPort: string
  inboundCapturePort: string
  proxyUid: string
  proxyGid: string
  istioInboundInterceptionMode: string
  istioInboundPorts: string
  istioLocalExcludePorts: string
  istioServiceCidr: string
  istioServiceExcludeCidr: string
  istioOutboundPorts: string
  istioLocalOutboundPortsExclude: string
  istioExcludeInterfaces: string
  kubeVirtInterfaces: string
  redirectDns: boolean
  dnsPort: string
  inboundTproxyMark: string
  inboundTproxyRouteTable: string
}

/** Reads and checks flags; throws `invalid_argument` that names the flag. */
export function interceptionSettings(flags: InterceptionFlags): InterceptionSettings {
  const mode = flags.istioInboundInterceptionMode
  if (mode !== 'REDIRECT' && mode !== 'TPROXY') throw wrong('-m', mode, 'REDIRECT or TPROXY')
  const outboundPort = port('-p', flags.envoyPort)
  const inboundPort = port('-z', flags.inboundCapturePort)
  if (outboundPort === inboundPort) throw wrong('-z', String(inboundPort), 'another port than -p has')
  return {
    outboundPort,
    inboundPort,
    mode,
    proxyUids: list(flags.proxyUid).map((text) => whole('-u', text, 0, 2 ** 32 - 2)),
    proxyGids: list(flags.proxyGid).map((text) => whole('-g', text, 0, 2 ** 32 - 2)),
    inboundPorts: ports('-b', flags.istioInboundPorts),
    excludedInboundPorts: list(flags.istioLocalExcludePorts).map((text) => port('-d', text)),
    outboundRanges: ranges('-i', flags.istioServiceCidr),
    excludedOutboundRanges: list(flags.istioServiceExcludeCidr).map((text) => range('-x', text)),
    outboundPorts: ports('-q', flags.istioOutboundPorts),
    excludedOutboundPorts: list(flags.istioLocalOutboundPortsExclude).map((text) => port('-o', text)),
    excludedInterfaces: list(flags.istioExcludeInterfaces).map((text) => interfaceName('-c', text)),
    virtualInterfaces: list(flags.kubeVirtInterfaces).map((text) => interfaceName('-k', text)),
    dnsPort: flags.redirectDns ? port('--dns-port', flags.dnsPort) : undefined,
    tproxyMark: whole('-t', flags.inboundTproxyMark, 1, 2 ** 32 - 1),
    tproxyRouteTable: whole('-r', flags.inboundTproxyRouteTable, 1, 252),
  }
}

const mostOfAList = 200

function list(text: string): string[] {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
  if (items.length > mostOfAList)
    throw new WeftError('invalid_argument', `a list has ${items.length} items; ${mostOfAList} are taken`)
  return [...new Set(items)]
}

function ports(flag: string, text: string): Ports {
  return text.trim() === '*' ? '*' : list(text).map((item) => port(flag, item))
}

function ranges(flag: string, text: string): Ranges {
  return text.trim() === '*' ? '*' : list(text).map((item) => range(flag, item))
}

function port(flag: string, text: string): number {
  return whole(flag, text, 1, 65_535)
}

function whole(flag: string, text: string, least: number, most: number): number {
  const number = Number(text)
  if (/^\d{1,10}$/.test(text) && number >= least && number <= most) return number
  throw wrong(flag, text, `a whole number from ${least} to ${most}`)
}

/** An address or a block of addresses, as a block. */
function range(flag: string, text: string): string {
  const [address = '', length, ...rest] = text.split('/')
  const bits = isIP(address) === 4 ? 32 : 128
  const fits = length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= bits)
  if (isIP(address) === 0 || address.includes('%') || rest.length > 0 || !fits)
    throw wrong(flag, text, 'a block of addresses such as 10.0.0.0/8 or 2001:db8::/32')
  return `${address}/${length === undefined ? bits : Number(length)}`
}

function interfaceName(flag: string, text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,14}\+?$/.test(text) && text.length <= 15) return text
  throw wrong(flag, text, 'the name of a network interface')
}

function wrong(flag: string, text: string, wanted: string): WeftError {
  return new WeftError('invalid_argument', `'${text.slice(0, 100)}' is not ${wanted}`, { where: { path: flag } })
}
