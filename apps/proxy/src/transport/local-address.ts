import { networkInterfaces } from 'node:os'

const loopback = '127.0.0.1'

/** The machine's first address that is not 127.0.0.1, as Envoy takes for its own, of whatever interface; that one when there is no other. */
export const localAddress: string = (() => {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const one of addresses ?? []) if (one.family === 'IPv4' && one.address !== loopback) return one.address
  }
  return loopback
})()
