import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultMeshSettings } from '@weft/pilot/model/mesh-settings'
import type { Platform, PlatformInstance, PlatformService } from '@weft/pilot/registries/conformance/platform'
import { openRegistry, parseRegistry } from '@weft/pilot/registries/open'
import { createLogger } from '@weft/service/logger'
import { ConsulServer } from '../../consul/server.ts'

/** Operations that Consul takes in one transaction. */
const mostOperations = 64

/** A real Consul server as a platform of the conformance suite. */
export async function consulPlatform(binary: string): Promise<Platform> {
  const server = await ConsulServer.start(binary)
  const folder = await mkdtemp(join(tmpdir(), 'weft-consul-platform-'))
  const tokenFile = join(folder, 'token')
  let token = await server.readerToken()
  await writeFile(tokenFile, token)
  let held = new Map<string, Registration>()

  const write = async (operations: readonly object[]): Promise<void> => {
    for (let at = 0; at < operations.length; at += mostOperations) {
      await server.call('PUT', '/v1/txn', operations.slice(at, at + mostOperations))
    }
  }
  const set = async (services: readonly PlatformService[]): Promise<void> => {
    const wanted = registrations(services)
    const nodes = new Map<string, object>()
    const changes: object[] = []
    for (const [key, registration] of wanted) {
      if (held.get(key)?.text === registration.text) continue
      const { node, nodeMeta, service, status } = registration
      nodes.set(node, { Node: { Verb: 'set', Node: { Node: node, Address: '127.0.0.9', Meta: nodeMeta } } })
      // One that moved to another node is another instance to Consul.
      const last = held.get(key)
      if (last !== undefined && last.node !== node) changes.push(removal(last))
      changes.push({ Service: { Verb: 'set', Node: node, Service: service } })
      const check = { Node: node, CheckID: `check:${service.ID}`, Name: 'check', Status: status, ServiceID: service.ID }
      changes.push({ Check: { Verb: 'set', Check: { ...check, ServiceName: service.Service } } })
    }
    for (const [key, registration] of held) if (!wanted.has(key)) changes.push(removal(registration))
    await write([...nodes.values(), ...changes])
    held = wanted
  }
  return {
    name: 'consul',
    lacks: {
      'empty services': 'a service of Consul is there with its first instance',
      'half-written': 'Consul takes whole registrations',
    },
    target: { host: '127.0.0.1', port: server.port },
    pilotFlags: ['--registry', `consul=${server.url}?token-file=${tokenFile}`],
    set,
    open: async (through) => {
      const spec = parseRegistry(`consul=http://${through?.host}:${through?.port}?token-file=${tokenFile}`)
      return openRegistry(spec, { mesh: defaultMeshSettings, logger: createLogger('pilot', 'silent') })
    },
    restart: () => server.restart(),
    credentials: {
      async expire() {
        const { AccessorID } = (await server
          .call('GET', '/v1/acl/tokens')
          .then((tokens) =>
            (tokens as { AccessorID: string; SecretID: string }[]).find(({ SecretID }) => SecretID === token),
          )) ?? { AccessorID: '' }
        await server.call('DELETE', `/v1/acl/token/${AccessorID}`)
        // Consul looks at a token again when a query wakes.
        await server.call('PUT', '/v1/catalog/register', {
          Node: 'waker',
          Address: '127.0.0.8',
          Service: { Service: 'waker', Port: 1 },
        })
        await server.call('PUT', '/v1/catalog/deregister', { Node: 'waker' })
      },
      async renew() {
        token = await server.readerToken()
        await writeFile(tokenFile, token)
      },
    },
    async forget() {
      const services = held
      await server.wipe()
      await server.readerToken(token)
      held = new Map()
      await setAgain(services)
    },
    async close() {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }

  async function setAgain(services: ReadonlyMap<string, Registration>): Promise<void> {
    const nodes = new Map([...services.values()].map(({ node, nodeMeta }) => [node, nodeMeta]))
    await write([...nodes].map(([Node, Meta]) => ({ Node: { Verb: 'set', Node: { Node, Address: '127.0.0.9', Meta } } })))
    await write(
      [...services.values()].flatMap(({ node, service, status }) => [
        { Service: { Verb: 'set', Node: node, Service: service } },
        {
          Check: {
            Verb: 'set',
            Check: {
              Node: node,
              CheckID: `check:${service.ID}`,
              Name: 'check',
              Status: status,
              ServiceID: service.ID,
              ServiceName: service.Service,
            },
          },
        },
      ]),
    )
    held = new Map(services)
  }
}

interface Registration {
  node: string
  nodeMeta: Record<string, string>
  service: { ID: string; Service: string }
  status: string
  /** All of it, to see whether it changed. */
  text: string
}

function removal({ node, service }: Registration): object {
  return { Service: { Verb: 'delete', Node: node, Service: service } }
}

function registrations(services: readonly PlatformService[]): Map<string, Registration> {
  const all = new Map<string, Registration>()
  for (const service of services) {
    for (const instance of service.instances) {
      const registration = registrationOf(service, instance)
      all.set(registration.service.ID, { ...registration, text: JSON.stringify(registration) })
    }
  }
  return all
}

function registrationOf(
  { name, namespace = 'default', ports }: PlatformService,
  instance: PlatformInstance,
): Omit<Registration, 'text'> {
  const { address, labels = {}, locality, network, weight = 1, serviceAccount, sidecar, healthy = true } = instance
  const [own, ...others] = ports
  const extra = others.map(
    (port) => `${port.name}=${port.number}:${instance.ports[port.name]}${port.protocol === undefined ? '' : `/${port.protocol}`}`,
  )
  const meta = {
    'port-name': own?.name,
    protocol: own?.protocol,
    'service-port': own === undefined ? undefined : String(own.number),
    'extra-ports': extra.length === 0 ? undefined : extra.join(','),
    namespace,
    network,
    'service-account': serviceAccount,
    sidecar: sidecar ? 'true' : undefined,
  }
  const { region, zone } = locality ?? {}
  return {
    // Consul gets slow where one node has thousands of services.
    node: `node-${name}${region === undefined ? '' : `-${region}-${zone}`}`,
    nodeMeta: region === undefined || zone === undefined ? {} : { region, zone },
    service: {
      ID: `${namespace}-${name}-${instance.name}`,
      Service: name,
      ...{
        Tags: Object.entries(labels).map(([key, value]) => `${key}=${value}`),
        Meta: Object.fromEntries(Object.entries(meta).filter(([, value]) => value !== undefined)),
        Address: address,
        Port: instance.ports[own?.name ?? ''],
        Weights: { Passing: weight, Warning: 1 },
      },
    },
    status: healthy ? 'passing' : 'critical',
  }
}
