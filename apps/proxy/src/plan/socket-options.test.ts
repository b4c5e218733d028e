import { findPackageJSON } from 'node:module'
import { TcpKeepalive } from '@weft/contracts/envoy/config/core/v3/address'
import { SocketOption } from '@weft/contracts/envoy/config/core/v3/socket_option'
import { describe, expect, test } from 'vitest'
import { int } from '../transport/own-socket.ts'
import { compileSocketOptions, type SocketWishes } from './socket-options.ts'

const canSet = process.platform === 'linux' && findPackageJSON('koffi', import.meta.url) !== undefined
if (!canSet) console.log('socket options: need Linux and koffi, left out')

const keepalive = (fields: Partial<TcpKeepalive>) => ({ keepalive: TcpKeepalive.fromPartial(fields) })
const option = (fields: Parameters<(typeof SocketOption)['fromPartial']>[0]) => ({
  options: [SocketOption.fromPartial({ level: 1, name: 9, ...fields })],
})
const on = [1, 9, 1, 'prebind']

describe.skipIf(!canSet)('options of sockets', () => {
  test.each<[string, SocketWishes, unknown[][]]>([
    ['nothing', {}, []],
    ['a keepalive as the system has it', keepalive({}), [on]],
    [
      'a keepalive of their own',
      keepalive({ keepaliveProbes: 3, keepaliveTime: 300, keepaliveInterval: 5 }),
      [on, [6, 6, 3, 'prebind'], [6, 4, 300, 'prebind'], [6, 5, 5, 'prebind']],
    ],
    ['no keepalive, where any of it is 0', keepalive({ keepaliveProbes: 0, keepaliveTime: 300 }), []],
    ['addresses that are not there (yet)', { freebind: true }, [[0, 15, 1, 'prebind']]],
    ['none but those that are there', { freebind: false }, [[0, 15, 0, 'prebind']]],
    ['a queue for fast open', { fastOpenQueue: 10 }, [[6, 23, 10, 'listening']]],
    ['a number', option({ value: { $case: 'intValue', value: -2 }, state: 1 }), [[1, 9, -2, 'bound']]],
    ['bytes', option({ value: { $case: 'bufValue', value: int(7) }, state: 2 }), [[1, 9, 7, 'listening']]],
    [
      'what is for streams',
      option({ value: { $case: 'intValue', value: 1 }, type: { type: { $case: 'stream', value: {} } } }),
      [on],
    ],
    [
      'nothing of what is for datagrams',
      option({ value: { $case: 'intValue', value: 1 }, type: { type: { $case: 'datagram', value: {} } } }),
      [],
    ],
  ])('ask for %s', (_, wishes, options) => {
    const compiled = compileSocketOptions(wishes, 'Listener l')
    expect(
      compiled.map(({ level, name, value, state }) => [level, name, new Int32Array(value.buffer, value.byteOffset, 1)[0], state]),
    ).toEqual(options)
  })
})
