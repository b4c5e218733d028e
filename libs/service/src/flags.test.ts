import { afterEach, expect, it, vi } from 'vitest'
import { durationSeconds, type Flag, parseAddress, readFlags, wholeNumber } from './flags.ts'

const flags: Flag[] = [
  { flags: '--grpc-address <host:port>', description: 'where', default: '127.0.0.1:1' },
  { flags: '--workers <number>', description: 'how many', parse: wholeNumber(1, 8) },
  { flags: '--level <level>', description: 'what', choices: ['low', 'high'] },
]
interface Values {
  grpcAddress: string
  workers?: number
  level?: string
}
const read = (...args: string[]): Values => readFlags<Values>('thing', 'A thing', flags, ['node', 'thing', ...args])

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

it('a flag comes from the command line, else from the environment, else from its default', () => {
  expect(read()).toEqual({ grpcAddress: '127.0.0.1:1' })
  vi.stubEnv('WEFT_GRPC_ADDRESS', '127.0.0.1:2')
  vi.stubEnv('WEFT_WORKERS', '3')
  expect(read()).toEqual({ grpcAddress: '127.0.0.1:2', workers: 3 })
  expect(read('--grpc-address', '127.0.0.1:3', '--workers', '4')).toEqual({ grpcAddress: '127.0.0.1:3', workers: 4 })
})

it.each([
  [['--unknown'], /unknown option '--unknown'/],
  [['--workers', '9'], /--workers.*must be a whole number from 1 to 8/s],
  [['--workers', 'x'], /must be a whole number/],
  [['--level', 'middle'], /Allowed choices are low, high/],
])('a bad command line ends the process with code 2 and says what is wrong: %s', (args, message) => {
  let told = ''
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    told += String(chunk)
    return true
  })
  vi.spyOn(process, 'exit').mockImplementation((code) => {
    throw new Error(`exit ${code}`)
  })
  expect(() => read(...args)).toThrow('exit 2')
  expect(told).toMatch(message)
})

it('a time is read in seconds', () => {
  const time = durationSeconds(5, 86_400)
  expect(['90s', '15m', '1h30m', '1d'].map(time)).toEqual([90, 900, 5_400, 86_400])
  for (const bad of ['', '5', '5x', '-5s', '4s', '2d', '1.5h', '9999999999s']) expect(() => time(bad)).toThrow('must be')
})

it('an address is split, with IPv6 in brackets', () => {
  expect(parseAddress('127.0.0.1:80')).toEqual({ host: '127.0.0.1', port: 80 })
  expect(parseAddress('[::1]:0')).toEqual({ host: '::1', port: 0 })
  expect(parseAddress(':15010')).toEqual({ host: '0.0.0.0', port: 15_010 })
  for (const bad of ['', '80', 'host', 'host:', 'host:65536', '::1:80', 'a b:80', 'host:-1']) {
    expect(() => parseAddress(bad)).toThrow(`'${bad}' is not host:port`)
  }
})
