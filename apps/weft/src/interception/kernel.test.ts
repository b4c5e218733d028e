import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const unshare = process.getuid?.() === 0 ? ['--net'] : ['--net', '--user', '--map-root-user']
const inNamespace = (script: string) =>
  spawnSync('unshare', [...unshare, 'sh', '-ec', script], {
    encoding: 'utf8',
    timeout: 290_000,
    env: { ...process.env, NODE: process.execPath, WEFT: join(import.meta.dirname, '../main.ts') },
  })
const tried = inNamespace('iptables -w -t nat -L && ip6tables -w -t nat -L && iptables -t mangle -L && ip rule')
if (tried.status !== 0) console.log(`weft iptables: not tried on a kernel here: ${tried.error?.message ?? tried.stderr}`)

describe.skipIf(tried.status !== 0)('weft iptables', () => {
  test('gives the same rules any number of times, and takes out just these', { timeout: 300_000 }, () => {
    const { stdout, stderr, status } = inNamespace(`
      weft() { "$NODE" "$WEFT" iptables "$@"; }
      now() { echo "@$1"; { for t in nat mangle; do iptables-save -t $t; ip6tables-save -t $t; done; ip rule; ip -6 rule
        ip route show table all; ip -6 addr show dev lo; } | sed 's/\\[.*\\]//; /^#/d'; }
      ip link set lo up
      iptables -t nat -A OUTPUT -p tcp --dport 9999 -j RETURN
      now before
      weft -m TPROXY -d 15020 -x 10.96.0.1/32,2001:db8::/32 --redirect-dns
      now once
      weft -m TPROXY -d 15020 -x 10.96.0.1/32,2001:db8::/32 --redirect-dns --run-validation
      now twice
      weft --undo
      weft --undo
      now after
      weft --run-validation --skip-rule-apply || echo "@refused"`)
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('connections are not led to the proxy') })
    const [, before, once, twice, after] = stdout.split(/^@\w+\n/m)
    expect(once).toContain('-A PREROUTING -p tcp -j WEFT_INBOUND')
    expect(once).toContain('fwmark 0x539')
    expect(once).toContain('inet6 ::6/128')
    expect(twice).toBe(once)
    expect(after).toBe(before)
    expect(stdout).toContain('@refused')
  })
})
