import { defaultMeshSettings } from '@weft/pilot/model/mesh-settings'
import { openRegistry, parseRegistry } from '@weft/pilot/registries/open'
import { openConfigSource } from '@weft/pilot/sources/open'
import { createLogger } from '@weft/service/logger'
import type { ConsulServer } from '../../consul/server.ts'
import { until } from '../../processes.ts'
import { expect, type Scenario } from '../scenario.ts'

const patienceMs = 60_000
const virtualService = 'VirtualService/default/consul-web'
const destinationRule = 'DestinationRule/default/consul-web'

/** Consul's own config entries as a source of configuration. */
export async function entriesChecks(scenario: Scenario, consul: ConsulServer, tokenFile: string): Promise<void> {
  scenario.section("Consul's config entries")
  const text = `consul=${consul.url}?${new URLSearchParams({ 'token-file': tokenFile, entries: 'true' })}`
  const { provider } = await openConfigSource(text, {
    mesh: defaultMeshSettings,
    logger: createLogger('pilot', 'silent'),
    revision: '',
  })
  scenario.cleanup(() => provider.close())
  const write = (entry: object): Promise<unknown> => consul.call('PUT', '/v1/config', entry)
  const specOf = (key: string): string => JSON.stringify(provider.current.objects.get(key)?.object.document.value['spec']) ?? ''
  const untilSaid = (key: string, part: string): Promise<void> =>
    until(() => specOf(key).includes(part), part, undefined, patienceMs).catch((error) => {
      throw new Error(`${String(error)}: ${specOf(key)} ${JSON.stringify(provider.current.problems)}`)
    })

  await scenario.attempt(
    'resolver, splitter and router are a DestinationRule and a VirtualService as they come and change',
    async () => {
      await until(() => provider.state.synced, 'its first answer', undefined, patienceMs)
      expect(provider.current.objects.size === 0, 'there is something where there is nothing')
      await write({ Kind: 'service-defaults', Name: 'web', Protocol: 'http' })
      const version = (name: string): object => ({ Filter: `Service.Meta.version == ${name}` })
      await write({ Kind: 'service-resolver', Name: 'web', Subsets: { v1: version('v1'), v2: version('v2') } })
      await untilSaid(destinationRule, '"labels":{"version":"v2"}')
      const shares = [
        { Weight: 90, ServiceSubset: 'v1' },
        { Weight: 10, ServiceSubset: 'v2' },
      ]
      await write({ Kind: 'service-splitter', Name: 'web', Splits: shares })
      await untilSaid(virtualService, '"weight":9000')
      const Match = { HTTP: { PathPrefix: '/new' } }
      await write({ Kind: 'service-router', Name: 'web', Routes: [{ Match, Destination: { ServiceSubset: 'v2' } }] })
      await untilSaid(virtualService, '"uri":{"prefix":"/new"}')
      return specOf(virtualService).slice(0, 120)
    },
  )
  await scenario.attempt('an intention is told, and that it is not enforced', async () => {
    await write({ Kind: 'service-intentions', Name: 'web', Sources: [{ Name: 'shop', Action: 'deny' }] })
    const told = (): string | undefined =>
      provider.current.problems.find(({ message }) => message.includes('shop -> web (deny)'))?.message
    await until(() => told() !== undefined, 'the intention', undefined, patienceMs)
    return told()
  })
  await scenario.attempt('what cannot be said leaves what was said before, with a problem; what is deleted goes', async () => {
    await write({ Kind: 'service-resolver', Name: 'web', Subsets: { v1: { Filter: 'Node.Meta.a == b' }, v2: { Filter: '' } } })
    const refused = (): boolean =>
      provider.current.problems.some(({ severity, message }) => severity === 'error' && message.includes('Node.Meta'))
    await until(refused, 'a problem', undefined, patienceMs)
    expect(specOf(destinationRule).includes('"version":"v2"'), `the rule is now ${specOf(destinationRule)}`)
    for (const kind of ['service-router', 'service-splitter', 'service-resolver'])
      await consul.call('DELETE', `/v1/config/${kind}/web`)
    await until(() => provider.current.objects.size === 0, 'all of it to go', undefined, patienceMs)
    return undefined
  })

  await scenario.attempt(
    'what a service speaks that does not say so is of service-defaults, or else of proxy-defaults',
    async () => {
      const spec = parseRegistry(`consul=${consul.url}?${new URLSearchParams({ 'token-file': tokenFile, entries: 'true' })}`)
      const registry = await openRegistry(spec, { mesh: defaultMeshSettings, logger: createLogger('pilot', 'silent') })
      scenario.cleanup(() => registry.close())
      const register = (Name: string, Meta: object = {}): Promise<unknown> =>
        consul.call('PUT', '/v1/agent/service/register', { ...{ Name, ID: Name, Address: '10.5.0.1', Port: 7000 }, Meta })
      await register('web')
      await register('other')
      await register('says', { protocol: 'grpc' })
      const spoken = (): string =>
        ['web', 'other', 'says']
          .map((name) => registry.contents.services.find(({ service }) => service.name === name)?.service.ports[0]?.protocol)
          .join()
      const untilSpoken = (wanted: string): Promise<void> =>
        until(() => spoken() === wanted, wanted, undefined, patienceMs).catch((error) => {
          throw new Error(`${String(error)}: ${spoken()} ${registry.state.problem ?? ''}`)
        })
      await untilSpoken('http,auto,grpc')
      await write({ Kind: 'proxy-defaults', Name: 'global', Config: { protocol: 'http2' } })
      await untilSpoken('http,http2,grpc')
      await consul.call('DELETE', '/v1/config/service-defaults/web')
      await untilSpoken('http2,http2,grpc')
      await consul.call('DELETE', '/v1/config/service-intentions/web')
      await consul.call('DELETE', '/v1/config/proxy-defaults/global')
      await untilSpoken('auto,auto,grpc')
      for (const name of ['web', 'other', 'says']) await consul.call('PUT', `/v1/agent/service/deregister/${name}`)
      return undefined
    },
  )
}
