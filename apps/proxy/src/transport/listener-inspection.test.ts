import { once } from 'node:events'
import net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { CompiledListenerFilter, ConnectionFacts } from '../filters/listener/filter.ts'
import { Connection, ignore } from './connection.ts'
import { type InspectionPlan, inspectConnection } from './listener-inspection.ts'
import { rewrapAccepted } from './open-connection.ts'
import { TimerWheel } from './timer-wheel.ts'

const timers = new TimerWheel()

const opened: (net.Socket | net.Server)[] = []
afterEach(() => {
  for (const one of opened.splice(0)) one instanceof net.Server ? one.close() : one.destroy()
})

/** Uses up so many bytes once they are there, and refuses those that begin with `!`. */
const takes = (length: number): CompiledListenerFilter => ({
  maxBytes: 8,
  inspect: (bytes) => (bytes[0] === 0x21 ? 'refuse' : bytes.length < length ? 'more' : length),
})

/** What becomes of a client that is `asked` to do something once its connection is looked at. */
async function inspected(plan: Partial<InspectionPlan>, act: (client: net.Socket) => void): Promise<string[]> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' })
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  opened.push(server, client, socket)
  client.on('error', () => {})
  const heard: string[] = []
  await new Promise<void>((resolve) => {
    const end = (what: string) => (seen: Buffer) => {
      heard.push(`${what} ${seen.toString('latin1')}`)
      resolve()
    }
    inspectConnection(
      rewrapAccepted(socket, (one) => new Connection(one, ignore, timers, null)),
      {} as ConnectionFacts,
      { filters: [takes(3), takes(2)], inspectTimeoutMs: 0, continueOnTimeout: false, ...plan },
      timers,
      {
        waits: () => heard.push('waits'),
        waitedFor: () => heard.push('waited for'),
        timedOut: () => heard.push('timed out'),
        left: (failed) => heard.push(failed ? 'failed' : 'left'),
        passed: end('passed'),
        refused: end('refused'),
      },
    )
    act(client)
  })
  return heard
}

describe('a connection at the filters of its listener', () => {
  it('passes when each has used up what it needs, and brings the rest', async () => {
    const heard = await inspected({}, (client) => {
      client.write('ab', () => client.write('cdefg'))
    })
    expect(heard).toEqual(['waits', 'waited for', 'passed fg'])
  })

  it('does not wait where they need nothing', async () => {
    expect(await inspected({ filters: [] }, () => {})).toEqual(['passed '])
    expect(await inspected({ filters: [takes(0)] }, () => {})).toEqual(['passed '])
  })

  it('is refused by one of them, or with more bytes than it may ask for', async () => {
    expect(await inspected({}, (client) => client.write('abc!'))).toEqual(['waits', 'waited for', 'refused !'])
    const heard = await inspected({ filters: [takes(20)] }, (client) => client.write('123456789'))
    expect(heard).toEqual(['waits', 'waited for', 'refused 123456789'])
  })

  it('may be reset', async () => {
    const heard = await inspected({}, (client) => client.write('ab', () => client.resetAndDestroy()))
    expect(heard).toEqual(['waits', 'waited for', 'failed', 'refused '])
  })

  it('may leave', async () => {
    expect(await inspected({}, (client) => client.end('ab'))).toEqual(['waits', 'waited for', 'left', 'refused '])
  })

  it('is refused or goes on when it takes too long', async () => {
    expect(await inspected({ inspectTimeoutMs: 1 }, () => {})).toEqual(['waits', 'waited for', 'timed out', 'refused '])
    const heard = await inspected({ inspectTimeoutMs: 1, continueOnTimeout: true }, () => {})
    expect(heard).toEqual(['waits', 'waited for', 'timed out', 'passed '])
  })
})
