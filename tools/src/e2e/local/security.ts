import { connect } from 'node:net'
import type { MeshUnderTest } from '../mesh-under-test.ts'
import { expect, type Scenario } from '../scenario.ts'

/** Mutual TLS is all that a sidecar takes. */
export async function securityChecks(scenario: Scenario, mesh: MeshUnderTest): Promise<void> {
  scenario.section('mutual TLS, STRICT')
  const sidecars = mesh.state().parts.filter((part) => part.kind === 'sidecar')
  await scenario.attempt('plaintext to any inbound port is refused', async () => {
    expect(sidecars.length === 6, `there are ${sidecars.length} sidecars`)
    for (const sidecar of sidecars) {
      const answer = await plaintext(sidecar.address, 9080)
      expect(answer === '', `${sidecar.name} answered plaintext: ${answer.slice(0, 100)}`)
    }
    return `${sidecars.length} sidecars`
  })
}

/** What comes back on a plaintext HTTP request: nothing when it is refused. Fails when nothing listens at all. */
function plaintext(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    let connected = false
    const socket = connect({ host, port, timeout: 10_000 }, () => {
      connected = true
      socket.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n')
    })
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      // A TLS alert is a refusal too.
      if (chunk[0] === 0x15) text = ''
    })
    socket.on('timeout', () => socket.destroy(new Error(`${host}:${port} neither answers nor closes`)))
    socket.on('error', (error) => (connected && !error.message.includes('neither') ? resolve(text) : reject(error)))
    socket.on('close', () => resolve(text))
  })
}
