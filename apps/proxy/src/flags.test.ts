import { describe, expect, test } from 'vitest'
import { type ProxyFlags, parseFlags } from './flags.ts'

function flags(...argv: string[]): ProxyFlags {
  const parsed = parseFlags(argv, 'v')
  if ('print' in parsed) throw new Error('flags that print')
  return parsed
}

describe('the command line', () => {
  test("takes Envoy's flags in their long and short forms", () => {
    const parsed = flags(
      '-c',
      'x.yaml',
      '--config-yaml={a: 1}',
      '-l',
      'warn',
      '--concurrency',
      '3',
      '--service-node',
      'n',
      '--drain-time-s',
      '5',
    )
    expect(parsed).toMatchObject({
      configPath: 'x.yaml',
      configYaml: '{a: 1}',
      logLevel: 'warning',
      concurrency: 3,
      serviceNode: 'n',
      drainTimeMs: 5_000,
      mode: 'serve',
    })
    expect(flags('--component-log-level', 'upstream:debug,config:trace').componentLogLevels.get('config')).toBe('trace')
    expect(flags('--stats-tag', 'a:b', '--stats-tag', 'c:d').statsTags).toEqual([
      { name: 'a', value: 'b' },
      { name: 'c', value: 'd' },
    ])
  })

  test('takes one worker for a concurrency of 0', () => {
    expect(flags('--concurrency', '0').concurrency).toBe(1)
  })

  test.each([
    [['--nonsense'], 'this proxy has no flag --nonsense'],
    [['--socket-path', 'x'], 'this proxy has no flag --socket-path'],
    [['-x'], 'this proxy has no flag -x'],
    [['--mode', 'foo'], "--mode: unknown mode 'foo'"],
    [['-l', 'loud'], "--log-level: unknown log level 'loud'"],
    [['--concurrency', 'two'], "--concurrency: 'two' is not a whole number"],
    [['--concurrency'], '--concurrency: needs a value'],
    [['--version=1'], '--version: takes no value'],
    [['--stats-tag', 'a'], "--stats-tag: 'a' is not tag:value"],
  ])('refuses %j by name', (argv, message) => {
    expect(() => flags(...argv)).toThrow(message)
  })

  test('prints the version and the flags', () => {
    expect(parseFlags(['--version'], 'weft/1')).toEqual({ print: 'weft-proxy  version: weft/1' })
    expect(parseFlags(['-h'], 'v')).toMatchObject({ print: expect.stringContaining('--service-cluster <string>') })
  })
})
