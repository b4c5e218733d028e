import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultMeshSettings } from '@weft/pilot/model/mesh-settings'
import type { Platform, PlatformInstance, PlatformService } from '@weft/pilot/registries/conformance/platform'
import { openRegistry, parseRegistry } from '@weft/pilot/registries/open'
import { createLogger } from '@weft/service/logger'
import { NomadStandIn } from '../../nomad/stand-in.ts'
import type { Node, NomadState } from '../../nomad/state.ts'

interface Held {
  id: string
  allocation: string
  text: string
}

/** The stand-in for Nomad as a platform of the conformance suite. */
export async function nomadPlatform(): Promise<Platform> {
  const nomad = new NomadStandIn()
  let token = nomad.addReader()
  await nomad.start()
  const folder = await mkdtemp(join(tmpdir(), 'weft-nomad-platform-'))
  const tokenFile = join(folder, 'token')
  await writeFile(tokenFile, token)
  const held = new Map<string, Held>()
  return {
    name: 'nomad',
    lacks: {
      'empty services': 'a service of Nomad is there with its first instance',
      'half-written': 'Nomad takes whole jobs',
    },
    target: { host: '127.0.0.1', port: nomad.port },
    pilotFlags: ['--registry', `nomad=${nomad.url}?token-file=${tokenFile}`],
    async set(services) {
      const { state } = nomad
      const wanted = new Map<string, { service: PlatformService; instance: PlatformInstance }>(
        services.flatMap((service) =>
          service.instances.map(
            (instance) => [`${service.namespace}/${service.name}/${instance.name}`, { service, instance }] as const,
          ),
        ),
      )
      for (const [key, one] of held) {
        if (wanted.has(key)) continue
        state.deregister(one.id)
        state.allocations.delete(one.allocation)
        state.checks.delete(one.allocation)
        held.delete(key)
      }
      const jobs = new Set(services.map((service) => putJob(state, service)))
      for (const { ID, Namespace = 'default' } of state.jobs.values()) {
        if (!jobs.has(`${Namespace}/${ID}`)) state.removeJob(Namespace, ID)
      }
      for (const [key, { service, instance }] of wanted) {
        const text = JSON.stringify([service.ports, instance])
        const before = held.get(key)
        if (before?.text !== text) held.set(key, { ...put(state, service, instance), text })
      }
    },
    open: async (through) => {
      const spec = parseRegistry(`nomad=http://${through?.host}:${through?.port}?token-file=${tokenFile}`)
      return openRegistry(spec, { mesh: defaultMeshSettings, logger: createLogger('pilot', 'silent') })
    },
    async restart() {
      await nomad.stop()
      await nomad.start()
    },
    credentials: {
      expire: async () => nomad.removeReader(token),
      async renew() {
        token = nomad.addReader()
        await writeFile(tokenFile, token)
      },
    },
    async forget() {
      nomad.state.events = []
    },
    async close() {
      await nomad.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A job for each service, with a check where any of its instances says how it is. Gives `namespace/id`. */
function putJob(state: NomadState, { name, namespace = 'default', instances }: PlatformService): string {
  const key = `${namespace}/${name}`
  const hasCheck = instances.some(({ healthy }) => healthy !== undefined)
  const known = state.jobs.get(key)?.TaskGroups[0]?.Services?.[0]
  if (known === undefined || ((known.Checks ?? null) !== null) !== hasCheck) {
    const service = {
      Name: name,
      PortLabel: 'main',
      Provider: 'nomad',
      Checks: hasCheck ? [{ Name: 'check', Type: 'tcp' }] : null,
    }
    state.putJob({
      ID: name,
      Namespace: namespace,
      TaskGroups: [{ Name: 'main', Services: [service], Tasks: [{ Name: 'main' }] }],
    })
  }
  return key
}

/** Makes an instance: an allocation with a registration, and what its check says. */
function put(
  state: NomadState,
  { name, namespace = 'default', ports }: PlatformService,
  instance: PlatformInstance,
): Omit<Held, 'text'> {
  const allocation = `${namespace}-${name}-${instance.name}`
  const id = `_nomad-task-${allocation}-group-main-${name}-main`
  const node = nodeFor(state, instance)
  const index = state.next()
  state.allocations.set(allocation, {
    ...{ ID: allocation, Namespace: namespace, Name: `${name}.main[0]`, NodeID: node.ID, NodeName: node.Name, JobID: name },
    ...{
      TaskGroup: 'main',
      DesiredStatus: 'run',
      ClientStatus: 'running',
      TaskStates: {},
      CreateIndex: index,
      ModifyIndex: index,
    },
  })
  const status = instance.healthy === false ? 'failure' : 'success'
  const check = {
    ...{ ID: 'check', Check: 'check', Group: `${name}.main[0]`, Mode: 'healthiness' as const, Output: '', Service: name },
    ...{ Task: 'main', Status: status as 'failure' | 'success', StatusCode: 0, Timestamp: 0 },
  }
  state.checks.set(allocation, new Map(instance.healthy === undefined ? [] : [['check', check]]))
  const [own] = ports
  const registration = {
    ...{ ID: id, ServiceName: name, Namespace: namespace, NodeID: node.ID, Datacenter: 'dc1', JobID: name, AllocID: allocation },
    ...{ Tags: tagsOf(ports, instance), Address: instance.address, Port: instance.ports[own?.name ?? ''] ?? 0 },
  }
  const last = state.registrations.get(id)
  const { CreateIndex: _created, ModifyIndex: _modified, ...said } = last ?? { CreateIndex: 0, ModifyIndex: 0 }
  if (JSON.stringify(said) !== JSON.stringify(registration)) state.register(registration)
  return { id, allocation }
}

function nodeFor(state: NomadState, { locality }: PlatformInstance): Node {
  const name = locality === undefined ? 'client-1' : `client-${locality.region}-${locality.zone}`
  const known = [...state.nodes.values()].find((node) => node.Name === name)
  return known ?? state.addNode(name, locality === undefined ? {} : { ...locality })
}

function tagsOf([own, ...others]: PlatformService['ports'], instance: PlatformInstance): string[] {
  const { labels = {}, network, weight, serviceAccount, sidecar } = instance
  const extra = others.map(
    (port) => `${port.name}=${port.number}:${instance.ports[port.name]}${port.protocol === undefined ? '' : `/${port.protocol}`}`,
  )
  const hints = {
    'port-name': own?.name,
    protocol: own?.protocol,
    'service-port': own?.number,
    'extra-ports': extra.length === 0 ? undefined : extra.join(','),
    network,
    weight,
    'service-account': serviceAccount,
    sidecar,
  }
  return Object.entries({ ...labels, ...hints }).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))
}
