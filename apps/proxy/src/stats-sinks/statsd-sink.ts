import type { Socket as DatagramSocket } from 'node:dgram'
import { connect, isIPv6, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { WeftError } from '@weft/service/errors'
import { tagExtractor, untagged } from '../admin/stat-tags.ts'
import { StatView } from '../admin/stat-view.ts'
import type { Control } from '../control/control.ts'
import { controlPlaneClusters } from '../control/control-plane-clusters.ts'
import type { StatsdTarget } from './sink-config.ts'
import { datagrams, StatsdLines } from './statsd-lines.ts'

/** Bytes that wait for a server before its connection is given up; as with Envoy. */
const maxWaitingBytes = 16 << 20

/** Tells the statistics to statsd servers, once in every flush interval and at the end. */
export function startStatsSinks(control: Control): { close(): void } {
  const { statsSinks, statsFlushMs, stats } = control.settings
  const view = new StatView(control)
  const tagged = tagExtractor(stats, control.flags.statsTags)
  const sinks = statsSinks.map((target) => {
    const lines = new StatsdLines({ prefix: target.prefix, untagged: target.tags ? (stat) => untagged(stat, tagged) : null })
    return { lines, writer: target.to.type === 'udp' ? udpWriter(target.to) : tcpWriter(target.to.cluster, control) }
  })
  const flush = (): void => {
    const used = view.list({ usedOnly: true })
    for (const { lines, writer } of sinks) writer.write(lines.next(used))
  }
  const timer = setInterval(flush, statsFlushMs)
  timer.unref()
  return {
    close() {
      clearInterval(timer)
      flush()
      view.close()
      for (const { writer } of sinks) writer.close()
    },
  }
}

interface Writer {
  write(lines: readonly string[]): void
  close(): void
}

function udpWriter({ host, port, maxBytes }: Extract<StatsdTarget['to'], { type: 'udp' }>): Writer {
  const socket: DatagramSocket = process.getBuiltinModule('node:dgram').createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  socket.unref()
  // Nobody there is no reason to stop.
  socket.on('error', () => {})
  return {
    write(lines) {
      for (const datagram of datagrams(lines, maxBytes)) socket.send(datagram, port, host, () => {})
    },
    // What was sent before leaves first.
    close: () => void socket.send('', port, host, () => socket.close()),
  }
}

/** By a connection to an endpoint of a cluster, made when there is something to tell. */
function tcpWriter(cluster: string, control: Control): Writer {
  const overflow = control.stats.counter('statsd.cx_overflow')
  const find = controlPlaneClusters(() => control)
  let socket: Socket | null = null
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
    made.on('close', () => {
      if (socket === made) socket = null
    })
    return made
  }
  const write = async (text: string): Promise<void> => {
    socket ??= await open()
    if (socket === null) return
    if (socket.writableLength > maxWaitingBytes) {
      overflow.inc()
      socket.destroy()
      socket = null
    } else socket.write(text)
  }
  return {
    write(lines) {
      write(`${lines.join('\n')}\n`).catch((error: unknown) =>
        control.log.of('upstream').debug(`statsd: ${WeftError.from(error).message}`),
      )
    },
    close: () => void socket?.end(),
  }
}
