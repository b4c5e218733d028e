import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readMeshFolder } from './folder.ts'
import { planMesh } from './plan.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-folder-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const workload = (name: string, more = ''): string => `
apiVersion: mesh.weft.dev/v1
kind: Workload
metadata: { name: ${name} }
spec:
  command: node
  args: [server.js]
  ports: [{ name: http, number: 9080 }]
  labels: { app: ${name} }
${more}`

const services = `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { selector: { app: reviews }, ports: [{ name: http, port: 9080 }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: outside }
spec: { hosts: [api.example.com, "*.example.org"], ports: [{ number: 443, name: tls, protocol: TLS }] }
`

async function problem(text: string): Promise<string> {
  await writeFile(join(folder, 'mesh.yaml'), text)
  const error = await readMeshFolder(folder)
    .then((read) => planMesh(read, 20))
    .catch((thrown: unknown) => thrown)
  return WeftError.from(error).describe().replace(folder, '…')
}

describe('a mesh folder', () => {
  it('gives each workload its own addresses, identity and filled environment', async () => {
    await writeFile(join(folder, 'a.yaml'), services)
    const env =
      '  env: { HOST: "${workload.address}", REVIEWS: "${service.address:reviews}", API: "${service.address:api.example.com}" }'
    await writeFile(join(folder, 'b.yaml'), workload('web', `${env}\n  replicas: 2\n  serviceAccount: shop`))
    const plan = planMesh(await readMeshFolder(folder), 20)
    expect(plan.services).toEqual({ 'api.example.com': 16, 'reviews.default.svc.cluster.local': 17 })
    expect(plan.instances.map((instance) => [instance.name, instance.sidecarAddress, instance.identity])).toEqual([
      ['web', '127.20.2.1', 'spiffe://cluster.local/ns/default/sa/shop'],
      ['web-2', '127.20.3.1', 'spiffe://cluster.local/ns/default/sa/shop'],
    ])
    expect(plan.instances[1]?.env).toEqual({ HOST: '127.20.3.2', REVIEWS: '127.20.3.17', API: '127.20.3.16' })
    expect(plan.instances[0]).toMatchObject({ labels: { app: 'web' }, ports: { http: 9080 }, readiness: { port: 9080 } })
  })

  it('does not start what has an address already', async () => {
    await writeFile(join(folder, 'a.yaml'), workload('web', '  address: 10.0.0.7'))
    expect(planMesh(await readMeshFolder(folder), 20).instances).toEqual([])
  })

  it('finds the ports of Gateways and the paths that VirtualServices take from them', async () => {
    await writeFile(
      join(folder, 'a.yaml'),
      `{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: g}, spec: {servers: [{port: {number: 8081, name: http, protocol: HTTP}, hosts: ["*"]}]}}
---
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v}, spec: {hosts: ["*"], gateways: [g], http: [{match: [{uri: {exact: /shop}}, {headers: {}}]}]}}
---
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: w}, spec: {hosts: [reviews], http: [{match: [{uri: {exact: /inside}}]}]}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i}, spec: {tls: [{secretName: s}]}}`,
    )
    expect(await readMeshFolder(folder)).toMatchObject({ gatewayPorts: [8081, 80, 443], httpPort: 8081, paths: ['/shop'] })
  })

  it('names file and line of what is wrong', async () => {
    expect(await problem('a: b\nc: [\nd: e')).toMatch(/^…\/mesh\.yaml:3: not YAML: .*\(correct the file\)$/)
    expect(await problem(`${services}---${workload('web', '  replica: 2')}`)).toMatch(
      /^…\/mesh\.yaml:\d+: Workload: spec: Unrecognized key: "replica" \(docs\/local-mesh\.md/,
    )
    expect(await problem(`${workload('web')}\n---${workload('web')}`)).toMatch(
      /^…\/mesh\.yaml:12: Workload default\/web is defined twice/,
    )
    expect(await problem(workload('web', '  env: { R: "${service.address:nowhere}" }'))).toMatch(
      /^…\/mesh\.yaml:2: spec\.env\.R: \$\{service\.address:nowhere\} has no value/,
    )
    expect(await problem(workload('Web'))).toContain('a name is lower-case letters, digits and dashes')
  })

  it('says so when it does not exist', async () => {
    await expect(readMeshFolder(join(folder, 'none'))).rejects.toThrow('cannot read the mesh folder')
  })
})
