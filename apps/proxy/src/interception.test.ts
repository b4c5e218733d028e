import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { readSocketAddress } from './transport/socket-calls.ts'

/** A network namespace of one's own: as root, or where users may have one. */
const unshare = process.getuid?.() === 0 ? ['--net'] : ['--net', '--user', '--map-root-user']
const missing = spawnSync('unshare', [...unshare, 'sh', '-c', 'iptables -w -t nat -L && ip6tables -w -t nat -L && ip link'], {
  encoding: 'utf8',
})
const canIntercept = missing.status === 0
if (!canIntercept) console.log(`interception: not tested here: ${missing.error?.message ?? missing.stderr}`)

describe.skipIf(!canIntercept)('connections that netfilter redirected', () => {
  let seen: Record<string, unknown> = {}
  beforeAll(() => {
    const probe = join(import.meta.dirname, 'testing/interception-probe.ts')
    const ran = spawnSync('unshare', [...unshare, process.execPath, probe], { encoding: 'utf8', timeout: 290_000 })
    expect(ran.stderr).toBe('')
    seen = JSON.parse(ran.stdout) as Record<string, unknown>
  }, 300_000)

  test('go to the listener that has their address, else to the one for all addresses', () => {
    expect(seen['refused']).toEqual([])
    expect(seen).toMatchObject({ any: 'any address', one: 'one address', oneV6: 'one IPv6 address' })
  })

  test('go on to where they were going, from the address that the cluster names, when no listener has it', () => {
    expect(seen['serverFirst']).toBe('you are ::ffff:127.0.0.6, I am ::ffff:198.51.100.9')
    expect(seen['serverFirstV6']).toBe('you are ::6, I am 2001:db8::9')
  })

  test('are told apart from connections that came to the port itself, which lead nowhere', () => {
    expect(seen['straight']).toBe('')
  })

  test('end when nobody is where they were going', () => {
    expect(seen['nobody']).toBe('')
  })

  test('carry HTTP requests to where they were going', () => {
    expect(seen['http']).toBe('web at 198.51.100.9')
  })
})

describe('a socket address of the kernel', () => {
  test('is read as IPv4, IPv6, or IPv4 in IPv6 form', () => {
    const v4 = Buffer.from([2, 0, 0x1f, 0x90, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0])
    expect(readSocketAddress(v4)).toEqual({ address: '192.0.2.7', port: 8080 })
    const v6 = Buffer.concat([
      Buffer.from([10, 0, 0x00, 0x50, 0, 0, 0, 0]),
      Buffer.from('20010db8000000000000000000000007', 'hex'),
    ])
    expect(readSocketAddress(v6)).toEqual({ address: '2001:db8::7', port: 80 })
    const mapped = Buffer.concat([
      Buffer.from([10, 0, 0, 80, 0, 0, 0, 0]),
      Buffer.from('00000000000000000000ffffc0000207', 'hex'),
    ])
    expect(readSocketAddress(mapped)).toEqual({ address: '192.0.2.7', port: 80 })
  })

  test('of another family is none', () => {
    expect(readSocketAddress(Buffer.alloc(28))).toBeNull()
  })
})
