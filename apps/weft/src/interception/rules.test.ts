import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { addIptables } from './command.ts'
import { cleanText, interceptionRules, restoreText } from './rules.ts'
import { type InterceptionFlags, type InterceptionSettings, interceptionSettings } from './settings.ts'

/** Settings as a command line gives them. */
function settings(...argv: string[]): InterceptionSettings {
  const program = new Command().exitOverride()
  const nowhere = { print: () => {}, tell: () => {}, progress: () => {}, style: (_: string, text: string) => text }
  addIptables(program, nowhere, () => {})
  const command = program.commands[0]!.action(() => {})
  command.exitOverride().parse(argv, { from: 'user' })
  return interceptionSettings(command.opts<InterceptionFlags>())
}

function rulesOf(of: InterceptionSettings, chain: string, family: 'v4' | 'v6' = 'v4'): readonly string[] {
  for (const { chains } of interceptionRules(of, family)) {
    const found = chains.find(({ name }) => name === chain)
    if (found !== undefined) return found.rules
  }
  return []
}

describe('rules that lead connections to a proxy', () => {
  test("let the proxy's own connections through, and bring those to its own machine in by its inbound side", () => {
    expect(rulesOf(settings('-u', '1337,200', '-g', ''), 'WEFT_OUTPUT')).toEqual([
      '-o lo -s 127.0.0.6/32 -j RETURN',
      '-o lo ! -d 127.0.0.1/32 -p tcp -m owner --uid-owner 1337 -j WEFT_IN_REDIRECT',
      '-o lo ! -d 127.0.0.1/32 -p tcp -m owner --uid-owner 200 -j WEFT_IN_REDIRECT',
      '-m owner --uid-owner 1337 -j RETURN',
      '-m owner --uid-owner 200 -j RETURN',
      '-o lo -j RETURN',
      '-d 127.0.0.1/32 -j RETURN',
      '-j WEFT_REDIRECT',
    ])
  })

  test('name the addresses of their family only', () => {
    const some = settings('-i', '10.0.0.0/8,2001:db8::/32', '-x', '10.1.0.0/16,10.2.3.4,2001:db8::1')
    const destinations = (family: 'v4' | 'v6') =>
      rulesOf(some, 'WEFT_OUTPUT', family)
        .filter((rule) => rule.startsWith('-d '))
        .slice(1)
    expect(destinations('v4')).toEqual(['-d 10.1.0.0/16 -j RETURN', '-d 10.2.3.4/32 -j RETURN', '-d 10.0.0.0/8 -j WEFT_REDIRECT'])
    expect(destinations('v6')).toEqual(['-d 2001:db8::1/128 -j RETURN', '-d 2001:db8::/32 -j WEFT_REDIRECT'])
  })

  test('leave excluded ports out before anything is led to the proxy', () => {
    const some = settings('-d', '22,15020', '-o', '3306', '-q', '8080', '-i', '')
    expect(rulesOf(some, 'WEFT_INBOUND')).toEqual([
      '-p tcp -m tcp --dport 22 -j RETURN',
      '-p tcp -m tcp --dport 15020 -j RETURN',
      '-p tcp -j WEFT_IN_REDIRECT',
    ])
    expect(rulesOf(some, 'WEFT_OUTPUT')[0]).toBe('-p tcp -m tcp --dport 3306 -j RETURN')
    expect(rulesOf(some, 'WEFT_OUTPUT').at(-1)).toBe('-p tcp -m tcp --dport 8080 -j WEFT_REDIRECT')
  })

  test('catch nothing inbound when no port is named, and with TPROXY by marks', () => {
    const [nat] = interceptionRules(settings('-b', ''), 'v4')
    expect(nat?.jumps).toEqual(['OUTPUT -p tcp -j WEFT_OUTPUT'])
    const [, mangle] = interceptionRules(settings('-m', 'TPROXY', '-b', '80', '-z', '15007'), 'v4')
    expect(mangle?.name).toBe('mangle')
    expect(mangle?.chains.find(({ name }) => name === 'WEFT_TPROXY')?.rules).toEqual([
      '! -d 127.0.0.1/32 -p tcp -j TPROXY --tproxy-mark 1337/0xffffffff --on-port 15007',
    ])
  })

  test('let DNS questions alone unless asked', () => {
    expect(rulesOf(settings(), 'WEFT_DNS')).toEqual([])
    expect(rulesOf(settings('--redirect-dns'), 'WEFT_DNS')).toContain('-p udp -j REDIRECT --to-ports 15053')
  })
})

describe('a table as iptables-restore takes it', () => {
  const [nat] = interceptionRules(settings('-b', '80'), 'v4')

  test('replaces what an earlier run left, and nothing of others', () => {
    const saved = `*nat
:OUTPUT ACCEPT [0:0]
:WEFT_OUTPUT - [0:0]
:WEFT_OLD - [0:0]
:DOCKER - [0:0]
-A OUTPUT -j DOCKER
-A OUTPUT -p tcp -j WEFT_OUTPUT
-A WEFT_OUTPUT -p tcp -j WEFT_OLD
COMMIT`
    const text = restoreText(nat!, saved)
    expect(text.split('\n').filter((line) => /^-[DX]/.test(line))).toEqual(['-D OUTPUT -p tcp -j WEFT_OUTPUT', '-X WEFT_OLD'])
    expect(text).not.toContain('DOCKER')
    expect(cleanText('nat', saved)).toBe(
      '*nat\n:WEFT_OUTPUT - [0:0]\n:WEFT_OLD - [0:0]\n-D OUTPUT -p tcp -j WEFT_OUTPUT\n-X WEFT_OUTPUT\n-X WEFT_OLD\nCOMMIT\n',
    )
  })

  test('has nothing to clean where nothing of ours is', () => {
    expect(cleanText('nat', '*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j DOCKER\nCOMMIT\n')).toBeUndefined()
  })
})

describe('flags', () => {
  test.each([
    ['-p', '0', 'a whole number from 1 to 65535'],
    ['-p', '80;reboot', 'a whole number'],
    ['-u', 'root', 'a whole number from 0'],
    ['-m', 'NAT', 'REDIRECT or TPROXY'],
    ['-b', '80,http', 'a whole number'],
    ['-z', '15001', 'another port than -p has'],
    ['-i', '10.0.0.0/33', 'a block of addresses'],
    ['-x', '10.0.0.0/8/8', 'a block of addresses'],
    ['-x', 'fe80::1%eth0', 'a block of addresses'],
    ['-c', 'eth0 -j DROP', 'the name of a network interface'],
    ['-k', '-j', 'the name of a network interface'],
    ['-r', '255', 'a whole number from 1 to 252'],
    ['-d', Array.from({ length: 201 }, (_, i) => i + 1).join(), '200 are taken'],
  ])('%s %s is refused', (flag, value, why) => {
    expect(() => settings(`${flag}${value}`)).toThrow(why)
  })

  test('that an init container for istio-iptables has are taken', () => {
    expect(
      settings(
        ...'-p 15001 -z 15006 -u 1337 -m REDIRECT -i * -x  -b * -d 15090,15021,15020 --log_output_level=default:info'.split(' '),
      ),
    ).toMatchObject({ inboundPorts: '*', excludedInboundPorts: [15_090, 15_021, 15_020], excludedOutboundRanges: [] })
  })
})
