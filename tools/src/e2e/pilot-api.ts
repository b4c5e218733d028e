import { type Running, until } from '../processes.ts'

/** What Pilot says at a path of its API; `admin` is where it does (`http://host:port`). */
export async function askPilot<T>(admin: string, path: string): Promise<T> {
  return (await (await fetch(`${admin}${path}`)).json()) as T
}

/** The endpoints of a service that Pilot has for healthy, as `address:port`. */
export async function healthyEndpoints(admin: string, service: string): Promise<string[]> {
  interface Endpoint {
    address: string
    port: number
    health: string
  }
  const { services } = await askPilot<{ services: { name: string; endpoints: Endpoint[] }[] }>(admin, '/v1/registry')
  const endpoints = services.find(({ name }) => name === service)?.endpoints ?? []
  return endpoints.filter(({ health }) => health === 'healthy').map(({ address, port }) => `${address}:${port}`)
}

/** Waits until a service of the control plane says that it is ready. */
export async function untilReady(admin: string, what: string, running: Running, timeoutMs: number): Promise<void> {
  const isReady = async (): Promise<boolean> => (await fetch(`${admin}/healthz/ready`).catch(() => undefined))?.ok === true
  await until(isReady, `${what} to be ready`, running, timeoutMs)
}
