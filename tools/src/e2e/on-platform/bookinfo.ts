import { join } from 'node:path'
import { root } from '../mesh-under-test.ts'

/** One program of Bookinfo, and where it and its sidecar are: `127.m.i.2` and `127.m.i.1`. */
export interface BookinfoInstance {
  name: string
  app: string
  version: string
  serviceAccount: string
  address: string
  sidecarAddress: string
  /** Of the addresses where its sidecar listens for what it calls: `127.m.i`. */
  prefix: string
  command: readonly string[]
  env: Record<string, string>
}

export const bookinfoPort = 9080

/** The last part of the address where each sidecar listens for each service. */
export const serviceOctets: Readonly<Record<string, number>> = { details: 16, productpage: 17, ratings: 18, reviews: 19 }

const programs: readonly [app: string, version: string, env?: Record<string, string>][] = [
  ['productpage', 'v1'],
  ['details', 'v1'],
  ['reviews', 'v1'],
  ['reviews', 'v2', { ENABLE_RATINGS: 'true', STAR_COLOR: 'black' }],
  ['reviews', 'v3', { ENABLE_RATINGS: 'true', STAR_COLOR: 'red' }],
  ['ratings', 'v1'],
]

/** All programs of Bookinfo in one mesh's share of the loopback network. */
export function bookinfo(octet: number): BookinfoInstance[] {
  return programs.map(([app, version, more = {}], index) => {
    const prefix = `127.${octet}.${index + 1}`
    const name = `${app}-${version}`
    const hosts = Object.entries(serviceOctets).map(([service, last]) => [
      `${service.toUpperCase()}_HOSTNAME`,
      `${prefix}.${last}`,
    ])
    return {
      ...{ name, app, version, serviceAccount: `bookinfo-${app}`, address: `${prefix}.2`, sidecarAddress: `${prefix}.1`, prefix },
      command: [process.execPath, join(root, `apps/bookinfo/src/${app}/main.ts`)],
      env: { HOST: `${prefix}.2`, PORT: String(bookinfoPort), HOSTNAME: name, ...Object.fromEntries(hosts), ...more },
    }
  })
}
