import net, { type Socket } from 'node:net'
import { WeftError } from '@weft/service/errors'
import { addressText, type ListenAddress, type ListenerPlan } from '../plan/listener.ts'
import { acceptOthers } from './accept-others.ts'
import { ownSockets } from './own-socket.ts'
import { listenOnPipe } from './pipe.ts'
import { socketCalls } from './socket-calls.ts'

/** The sockets that a listener of this worker listens at. */
export class ListenerSockets {
  private readonly servers: net.Server[] = []
  private readonly onConnection: (socket: Socket) => void

  constructor(onConnection: (socket: Socket) => void) {
    this.onConnection = onConnection
  }

  /**
   * Opens the addresses of `plan`, pipes only where `ownsPipes`; gives those that are bound, none where the plan binds none. Throws when
   * one can't be, and leaves none open.
   */
  async open(plan: ListenerPlan, ownsPipes: boolean): Promise<string[]> {
    requireSocketCalls(plan)
    const bound: string[] = []
    if (!plan.bindToPort) return bound
    for (const address of plan.addresses) {
      if (address.type === 'pipe' && !ownsPipes) continue
      try {
        bound.push(await this.listen(address, plan))
      } catch (error) {
        this.close()
        const why = error instanceof Error ? error.message : String(error)
        throw new WeftError('failed_precondition', `cannot bind '${addressText(address)}': ${why}`, {
          where: { path: `Listener ${plan.name}: address` },
          hint: why.includes('EADDRINUSE') ? 'another program listens there' : undefined,
        })
      }
    }
    return bound
  }

  private async listen(address: ListenAddress, { backlog, transparent, acceptsAtOnce }: ListenerPlan): Promise<string> {
    const server = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket) => {
      this.onConnection(socket)
      if (address.type !== 'ip') return
      for (const other of acceptOthers(server, acceptsAtOnce - 1)) this.onConnection(other)
    })
    if (address.type === 'pipe') {
      await listenOnPipe(server, address.path, address.mode, backlog)
      server.on('error', () => {})
      this.servers.push(server)
      return address.path
    }
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      const { host, port, takesIpv4, options = [] } = address
      const ipv6Only = host.includes(':') && !takesIpv4
      const at =
        options.length > 0 ? { fd: ownSockets().bind(host, port, ipv6Only, options) } : { host, port, reusePort: true, ipv6Only }
      server.listen({ ...at, backlog }, () => {
        server.removeListener('error', reject)
        server.on('error', () => {})
        this.servers.push(server)
        try {
          if (transparent) socketCalls().setTransparent(server)
          if (options.length > 0) ownSockets().apply(server, options, 'listening')
        } catch (error) {
          reject(error)
          return
        }
        const at = server.address()
        if (at === null || typeof at === 'string') resolve(at ?? '')
        else resolve(addressText({ type: 'ip', host: at.address, port: at.port }))
      })
    })
  }

  /** The sockets are as `plan`, a new one for the same addresses, wants them. Throws where that can't be had here. */
  adopt(plan: ListenerPlan): void {
    requireSocketCalls(plan)
    if (plan.transparent) for (const server of this.servers) socketCalls().setTransparent(server)
  }

  /** Whether new connections are turned away from now on without closing the sockets, on which some that were begun may still wait. */
  refuseNew(): boolean {
    try {
      const calls = socketCalls()
      for (const server of this.servers) calls.refuseNew(server)
      return true
    } catch {
      // No Linux, or no koffi: what waits in the kernel's queue is lost with the socket.
      return false
    }
  }

  /** Nobody can connect any more. */
  close(): void {
    for (const server of this.servers.splice(0)) server.close()
  }
}

/** Throws where a listener asks the kernel what can't be asked here. */
function requireSocketCalls({ name, readsOriginalDestination, transparent }: ListenerPlan): void {
  if (!readsOriginalDestination && !transparent) return
  try {
    socketCalls()
  } catch (error) {
    const { code, message, hint } = WeftError.from(error)
    throw new WeftError(code, message, { cause: error, hint, where: { path: `Listener ${name}` } })
  }
}
