import { createServer, type Server } from 'node:net'
import { WeftError } from '@weft/service/errors'

/** The port of `127.m.0.1` whose listener is the claim on a mesh's addresses. */
const octetClaimPort = 15999
const firstOctet = 20
const lastOctet = 250

/** A mesh's share of the loopback network, `127.<octet>.0.0/16`: held until released or the process ends. */
export interface OctetClaim {
  octet: number
  release(): Promise<void>
}

/** Claims the first free `127.m.0.0/16` by listening in it, so that meshes side by side never meet. */
export async function claimOctet(): Promise<OctetClaim> {
  let cause: unknown
  for (let octet = firstOctet; octet <= lastOctet; octet++) {
    try {
      const server = await listen(`127.${octet}.0.1`, octetClaimPort)
      return { octet, release: () => close(server) }
    } catch (error) {
      cause = error
      if (codeOf(error) === 'EADDRNOTAVAIL') break
    }
  }
  throw codeOf(cause) === 'EADDRNOTAVAIL'
    ? new WeftError('unavailable', 'this system gives only 127.0.0.1 as a loopback address; the local mesh needs 127.0.0.0/8', {
        hint: 'run on Linux, or use docker-compose.yml',
        cause,
      })
    : new WeftError('resource_exhausted', `all meshes from 127.${firstOctet}.0.0/16 to 127.${lastOctet}.0.0/16 are in use`, {
        hint: 'stop one with weft down',
        cause,
      })
}

/** Where a port's claim is listened for, at the port's own number: nothing else is likely to be there. */
const portClaimHost = '127.255.255.254'

/** A port that this mesh's gateway will listen on: held against other meshes until released or the process ends. */
export interface PortClaim {
  port: number
  release(): Promise<void>
}

/**
 * Claims the first port from `wanted` upwards that is free at an address. A gateway listens with other threads on the same
 * port, so that the kernel would not refuse it a port that another mesh has chosen at the same moment: the claim does.
 */
export async function claimPort(host: string, wanted: number): Promise<PortClaim> {
  for (let port = wanted; port < Math.min(wanted + 1000, 65_536); port++) {
    let claim: Server | undefined
    try {
      claim = await listen(portClaimHost, port)
      await close(await listen(host, port))
      const held = claim
      return { port, release: () => close(held) }
    } catch (error) {
      if (claim !== undefined) await close(claim)
      if (codeOf(error) !== 'EADDRINUSE' && codeOf(error) !== 'EACCES') throw error
    }
  }
  throw new WeftError('resource_exhausted', `no free port on ${host} from ${wanted} on`, { hint: 'name one with --gateway-port' })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

function listen(host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, () => resolve(server.unref()))
  })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
