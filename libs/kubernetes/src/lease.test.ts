import { createLogger } from '@weft/service/logger'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { KubernetesClient } from './client.ts'
import { LeaseElection } from './lease.ts'
import { accessTo } from './testing/access-to.ts'
import { StubApiServer } from './testing/stub-api-server.ts'

const leases = '/apis/coordination.k8s.io/v1/leases'
const patience = { timeout: 10_000, interval: 5 }

let server: StubApiServer

beforeEach(async () => {
  server = await StubApiServer.start()
  onTestFinished(() => server.stop())
})

function candidate(identity: string): LeaseElection {
  const client = new KubernetesClient(accessTo(server.url))
  const logger = createLogger('test', 'silent')
  const election = new LeaseElection({
    client,
    namespace: 'istio-system',
    name: 'l',
    identity,
    onChange: () => {},
    logger,
    durationMs: 500,
  })
  onTestFinished(() => election.close())
  return election
}

test('of several candidates one leads, and when it ends another takes over', async () => {
  const all = ['a', 'b', 'c'].map(candidate)
  await vi.waitFor(() => expect(all.filter(({ leads }) => leads)).toHaveLength(1), patience)
  const first = all.find(({ leads }) => leads)
  await first?.close()
  await vi.waitFor(() => expect(all.filter((one) => one.leads && one !== first)).toHaveLength(1), patience)
})

test('a lease whose holder is not heard of any more is taken; its transitions are counted', async () => {
  const spec = { holderIdentity: 'dead', leaseDurationSeconds: 1, renewTime: '2026-01-01T00:00:00.000000Z', leaseTransitions: 4 }
  server.put(leases, { metadata: { name: 'l', namespace: 'istio-system' }, spec })
  const election = candidate('a')
  await vi.waitFor(() => expect(election.leads).toBe(true), patience)
  expect(server.get(leases, 'istio-system', 'l')?.['spec']).toMatchObject({ holderIdentity: 'a', leaseTransitions: 5 })
})

test('a leader that cannot renew leads no longer, and leads again when it can', async () => {
  const election = candidate('a')
  await vi.waitFor(() => expect(election.leads).toBe(true), patience)
  await server.stop()
  await vi.waitFor(() => expect(election.leads).toBe(false), patience)
  await server.start()
  await vi.waitFor(() => expect(election.leads).toBe(true), patience)
})
