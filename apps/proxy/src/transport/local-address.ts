import { networkInterfaces } from 'node:os'

/** The machine's first address that is not loopback, as Envoy takes for its own; loopback when there is no other. */
export const localAddress: string = (() => {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const one of addresses ?? []) if (!one.internal && one.family === 'IPv4') return one.address
  }
  return '127.0.0.1'
})()
