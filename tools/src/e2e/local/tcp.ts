import { connect } from 'node:net'
import { join } from 'node:path'
import { until } from '../../processes.ts'
import { MeshUnderTest } from '../mesh-under-test.ts'
import { expect, type Scenario } from '../scenario.ts'
import { get } from '../traffic.ts'

/** Bytes for which a socket's buffers are not enough. */
const large = 'polly '.repeat(200_000)

/** Programs that speak TCP, in a mesh of their own without a Gateway: carried under mutual TLS, decided and counted by Mixer. */
export async function tcpChecks(scenario: Scenario): Promise<void> {
  scenario.section('TCP behind Mixer')
  const mesh = await MeshUnderTest.start([join(import.meta.dirname, 'tcp-mesh')])
  scenario.cleanup(() => mesh.stop())
  const friend = mesh.outbound('friend-v1', 'parrot')
  const stranger = mesh.outbound('stranger-v1', 'parrot')

  await scenario.attempt('a client speaks first, and is answered whole', async () => {
    const { answer } = await talk(friend, 9000, large)
    expect(answer === large, `sent ${large.length} bytes, answered ${answer.length}`)
    return `${answer.length} bytes`
  })
  await scenario.attempt('a server speaks first', async () => {
    const { answer } = await talk(friend, 9001, 'polly')
    expect(answer === 'hello\npolly', `answered '${answer}'`)
    return undefined
  })
  await scenario.attempt('who speaks no mutual TLS gets nothing', async () => {
    const { admin = '' } = mesh.part('parrot-v1-sidecar')
    const { answer, end } = await talk(admin.split(':')[0] ?? '', 9001, 'polly')
    expect(answer === '', `answered '${answer}'`)
    return end
  })
  await scenario.attempt('whom Mixer denies gets nothing, on either port', async () => {
    const first = await talk(stranger, 9000, 'polly')
    const second = await talk(stranger, 9001, '')
    expect(first.answer + second.answer === '', `answered '${first.answer}' and '${second.answer}'`)
    return `${first.end}, ${second.end}`
  })
  await scenario.attempt('Mixer counts connections and bytes, by who is at both ends', async () => {
    const received = large.length + 'polly'.length
    const wanted = { opened: 2, closed: 2, received, sent: received + 'hello\n'.length }
    let counted = ''
    await until(
      async () => {
        counted = JSON.stringify(countedOf((await get(`http://${mesh.state().mixers[0]?.admin}/metrics`)).body))
        return counted === JSON.stringify(wanted)
      },
      `Mixer to count ${JSON.stringify(wanted)}`,
    ).catch((error: unknown) => {
      throw new Error(`Mixer has ${counted}`, { cause: error })
    })
    return counted
  })
}

/** Sends a text and ends, as far as it may; everything that came until the connection was closed, and how it was. */
function talk(host: string, port: number, text: string): Promise<{ answer: string; end: string }> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 20_000 })
    let answer = ''
    let end = 'closed'
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => (answer += chunk))
    socket.on('timeout', () => socket.destroy(new Error('nothing came for 20 s')))
    socket.on('error', (error) => (end = error.message))
    socket.on('close', () => resolve({ answer, end }))
    socket.end(text)
  })
}

function countedOf(metrics: string): Record<'opened' | 'closed' | 'received' | 'sent', number> {
  const labels = ['"cluster.local/ns/default/sa/friend"', 'destination_workload="parrot-v1"', 'security_policy="mutual_tls"']
  const count = (name: string): number => {
    const line = metrics
      .split('\n')
      .find((one) => one.startsWith(`istio_tcp_${name}_total{`) && labels.every((label) => one.includes(label)))
    return Number(line?.split(' ').at(-1) ?? 0)
  }
  return {
    ...{ opened: count('connections_opened'), closed: count('connections_closed') },
    ...{ received: count('received_bytes'), sent: count('sent_bytes') },
  }
}
