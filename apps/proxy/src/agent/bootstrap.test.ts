import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { loadBootstrap } from '../bootstrap/load.ts'
import { podBootstrap } from './bootstrap.ts'
import { readPodLabels } from './pod-labels.ts'
import { readAgentSettings } from './settings.ts'

const environment = {
  POD_NAME: 'web-1',
  POD_NAMESPACE: 'shop',
  INSTANCE_IP: '10.1.0.5',
  SERVICE_ACCOUNT: 'web',
  CA_ADDR: 'citadel.istio-system.svc:15012',
  PROXY_CONFIG:
    '{"discoveryAddress":"pilot-canary.mesh.svc:15012","terminationDrainDuration":"7s","runtimeValues":{"upstream.use_retry":"0"}}\n',
  ISTIO_META_WORKLOAD_NAME: 'web',
  ISTIO_META_INTERCEPTION_MODE: 'REDIRECT',
  ISTIO_METAJSON_X: '{"CUSTOM":{"a":1}}',
}
const argv = [
  'proxy',
  'sidecar',
  '--domain',
  '$(POD_NAMESPACE).svc.cluster.local',
  '--proxyLogLevel=debug',
  '--log_output_level=x',
]

test('the bootstrap of a pod is valid, and names the node as Istio does', () => {
  const settings = readAgentSettings(argv, environment)
  const bootstrap = podBootstrap(settings, { app: 'web' })
  expect(bootstrap).toMatchObject({
    node: {
      id: 'sidecar~10.1.0.5~web-1.shop~shop.svc.cluster.local',
      cluster: 'web.shop',
      metadata: {
        NAMESPACE: 'shop',
        SERVICE_ACCOUNT: 'web',
        LABELS: { app: 'web' },
        INTERCEPTION_MODE: 'REDIRECT',
        CUSTOM: { a: 1 },
        PROXY_CONFIG: { terminationDrainDuration: '7s' },
      },
    },
    layered_runtime: { layers: [{ static_layer: { 'upstream.use_retry': '0' } }, { admin_layer: {} }] },
  })
  const json = JSON.stringify(bootstrap)
  expect(json).toContain('spiffe://cluster.local/ns/mesh/sa/pilot-canary')
  expect(json).toContain('Bearer %FILE_CONTENT(/var/run/secrets/tokens/istio-token)%')
  expect(() => loadBootstrap('', json, false, () => undefined)).not.toThrow()
})

test('what the command line and the environment say is followed', () => {
  expect(readAgentSettings(argv, environment)).toMatchObject({
    proxyLogLevel: 'debug',
    terminationDrainMs: 7_000,
    drainMs: 45_000,
    statusPort: 15_020,
    probedHost: '10.1.0.5',
    concurrency: undefined,
  })
  const limited = { ...environment, ISTIO_CPU_LIMIT: '2', REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION: 'true' }
  expect(readAgentSettings(argv, limited)).toMatchObject({ concurrency: 2, probedHost: 'localhost' })
  expect(readAgentSettings(argv, { ...limited, PROXY_CONFIG: '{"concurrency":0}' }).concurrency).toBeUndefined()
})

test('a container or machine has to say little: its name and address are its own, and Pilot may be named by an address', () => {
  const settings = readAgentSettings(argv, {
    POD_NAMESPACE: 'shop',
    CA_ADDR: '10.0.0.3:15012',
    PROXY_CONFIG: '{"discoveryAddress":"10.0.0.4:15012"}',
    TOKEN_FILE: '/enrolled/web.token',
    CA_ROOT_CA: '/roots/root-cert.pem',
    ISTIO_META_AUTO_REGISTER_GROUP: 'web',
    ISTIO_METAJSON_LABELS: '{"LABELS":{"app":"web"}}',
  })
  expect(settings.pod.name).toBe(hostname())
  expect(isIP(settings.pod.ip)).not.toBe(0)
  const bootstrap = podBootstrap(settings, { version: 'v1' })
  expect(bootstrap).toMatchObject({
    node: { metadata: { AUTO_REGISTER_GROUP: 'web', LABELS: { app: 'web', version: 'v1' } } },
  })
  const json = JSON.stringify(bootstrap)
  expect(json).toContain('spiffe://cluster.local/ns/istio-system/sa/pilot"')
  expect(json).toContain('Bearer %FILE_CONTENT(/enrolled/web.token)%')
  expect(json).toContain('/roots/root-cert.pem')
})

test.for([
  [['proxy', 'waypoint'], environment, /no command/],
  [argv, { ...environment, CA_ADDR: '' }, /no CA_ADDR/],
  [argv, { ...environment, PROXY_CONFIG: '[' }, /PROXY_CONFIG is no JSON object/],
] as const)('what cannot be followed is told: %#', ([words, env, message]) => {
  expect(() => readAgentSettings(words, env)).toThrow(message)
})

test("a pod's labels are read as the downward API writes them", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weft-agent-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'labels')
  await writeFile(file, 'app="web"\nnote="a \\"b\\"=c"\nbroken\nx=y\n')
  expect(await readPodLabels(file)).toEqual({ app: 'web', note: 'a "b"=c' })
  expect(await readPodLabels(join(folder, 'none'))).toEqual({})
})
