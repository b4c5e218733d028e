import type { Socket as DatagramSocket } from 'node:dgram'
import { connect, isIPv6, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { WeftError } from '@weft/service/errors'
import { StatView } from '../admin/stat-view.ts'
import type { Control } from '../control/control.ts'
import { controlPlaneClusters } from '../control/control-plane-clusters.ts'
import { tagExtractor, untagged } from '../observe/stat-tags.ts'
import type { StatsdTarget } from './sink-config.ts'
import { datagrams, StatsdLines } from './statsd-lines.ts'

/** Bytes that wait for a server before its connection is given up; as with Envoy. */
const maxWaitingBytes = 16 << 20
/** How long the end waits for a server that does not take what is left. */
const lastFlushMs = 1000

/** Tells the statistics to statsd servers, once in every flush interval and at the end, which waits for that. */
export function startStatsSinks(control: Control): { close(): Promise<void> } {
  const { statsSinks, statsFlushMs, stats } = control.settings
  const view = new StatView(control)
  const tagged = tagExtractor(stats, control.flags.statsTags)
  const sinks = statsSinks.map((target) => {
    const lines = new StatsdLines({ prefix: target.prefix, untagged: target.tags ? (stat) => untagged(stat, tagged) : null })
    return { lines, writer: target.to.type === 'udp' ? udpWriter(target.to) : tcpWriter(target.to.cluster, control) }
  })
  const flush = async (): Promise<void> => {
    const used = view.list({ usedOnly: true })
    await Promise.all(sinks.map(({ lines, writer }) => writer.write(lines.next(used))))
  }
  const timer = setInterval(() => void flush(), statsFlushMs)
  timer.unref()
  return {
    async close() {
      clearInterval(timer)
      const late = new Promise<void>((resolve) => setTimeout(resolve, lastFlushMs))
      await Promise.race([flush(), late])
      view.close()
      for (const { writer } of sinks) writer.close()
    },
  }
}

interface Writer {
  /** Resolves when the lines have left; or were thrown away, which is logged. */
  write(lines: readonly string[]): Promise<void>
  close(): void
}

function udpWriter({ host, port, maxBytes }: Extract<StatsdTarget['to'], { type: 'udp' }>): Writer {
  const socket: DatagramSocket = process.getBuiltinModule('node:dgram').createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  socket.unref()
  // Nobody there is no reason to stop.
  socket.on('error', () => {})
  const send = (datagram: string): Promise<void> => new Promise((resolve) => socket.send(datagram, port, host, () => resolve()))
  return {
    async write(lines) {
      await Promise.all(datagrams(lines, maxBytes).map(send))
    },
    close: () => void socket.close(),
  }
}

/** By a connection to an endpoint of a cluster, made when there is something to tell. */
function tcpWriter(cluster: string, control: Control): Writer {
  const overflow = control.stats.counter('statsd.cx_overflow')
  const find = controlPlaneClusters(() => control)
  let socket: Promise<Socket | null> | null = null
  let next = 0
  const open = async (): Promise<Socket | null> => {
    const { addresses, tls } = await find(cluster)
    const address = addresses[next++ % Math.max(1, addresses.length)]
    if (address === undefined) return null
    const colon = address.lastIndexOf(':')
    const place = address.startsWith('unix:')
      ? { path: address.slice(5) }
      : { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) }
    const made = tls === null ? connect(place) : connectTls({ ...tls, ...place })
    made.unref()
    made.on('error', () => {})
    return made
  }
  const connected = async (): Promise<Socket | null> => {
    socket ??= open()
    const made = await socket
    if (made !== null && !made.destroyed) return made
    socket = open()
    return socket
  }
  const write = async (text: string): Promise<void> => {
    const made = await connected()
    if (made === null) return
    if (made.writableLength > maxWaitingBytes) {
      overflow.inc()
      made.destroy()
      socket = null
      return
    }
    await new Promise<void>((resolve) => made.write(text, () => resolve()))
  }
  return {
    async write(lines) {
      try {
        await write(`${lines.join('\n')}\n`)
      } catch (error) {
        socket = null
        control.log.of('upstream').debug(`statsd: ${WeftError.from(error).message}`)
      }
    },
    close: () => void socket?.then((made) => made?.end()),
  }
}
