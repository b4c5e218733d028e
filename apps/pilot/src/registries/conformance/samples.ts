import type { PlatformInstance, PlatformPort, PlatformService } from './platform.ts'

export const http: PlatformPort = { name: 'http', number: 9080 }

export const v1: PlatformInstance = {
  name: 'reviews-v1',
  address: '10.0.0.1',
  ports: { http: 9080 },
  labels: { app: 'reviews', version: 'v1' },
}
export const v2: PlatformInstance = {
  name: 'reviews-v2',
  address: '10.0.0.2',
  ports: { http: 9081 },
  labels: { app: 'reviews', version: 'v2' },
}

/** The service `reviews` with these instances. */
export function reviews(...instances: readonly PlatformInstance[]): PlatformService {
  return { name: 'reviews', ports: [http], instances }
}

export const ratings: PlatformService = {
  name: 'ratings',
  ports: [{ name: 'grpc', number: 7070 }],
  instances: [{ name: 'ratings-v1', address: '10.0.0.3', ports: { grpc: 7070 }, labels: { app: 'ratings' } }],
}

/** Many services with as many instances each, every one at an address of its own. */
export function many(services: number, instancesOfEach: number): PlatformService[] {
  return Array.from({ length: services }, (_, index) => ({
    name: `svc-${index}`,
    ports: [http],
    instances: Array.from({ length: instancesOfEach }, (_, instance) => ({
      name: `svc-${index}-${instance}`,
      address: `10.${1 + (index >> 8)}.${index & 255}.${1 + (instance % 250)}`,
      ports: { http: 9080 + Math.floor(instance / 250) },
      labels: { app: `svc-${index}` },
    })),
  }))
}
