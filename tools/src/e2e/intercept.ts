/**
 * The scenario `intercept`: programs that know nothing of a mesh, in network namespaces, among sidecars to which packet filter
 * rules lead their connections.
 */
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { findCommand } from '../peers.ts'
import { until } from '../processes.ts'
import { InterceptedMesh, outboundPolicy, peerAuthentication, virtual, type WorkloadOf } from './intercept/mesh.ts'
import { type Namespace, Network, namespaceProblem, proxyUser, type Ran, runIn, startIn } from './intercept/namespaces.ts'
import { expect, type Scenario } from './scenario.ts'

const answerSchema = z.object({
  url: z.string(),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
  remoteAddress: z.string(),
  localAddress: z.string(),
  localPort: z.number(),
})

const curl = (from: Namespace, url: string): Ran =>
  runIn(from, ['curl', '-s', '-S', '-g', '-m', '20', '--connect-timeout', '5', url])

function answerOf(ran: Ran): z.infer<typeof answerSchema> {
  expect(ran.code === 0 && ran.out.startsWith('{'), `curl ended with ${ran.code}: ${ran.out}${ran.err}`)
  return answerSchema.parse(JSON.parse(ran.out))
}

/** A raw TCP client: what it hears when it connects, and as the answer to what it says. */
function talk(from: Namespace, host: string, port: number): Ran {
  const script = `exec 3<>/dev/tcp/${host}/${port}; IFS= read -t 15 -r a <&3; echo "$a"; echo hello >&3; IFS= read -t 15 -r b <&3; echo "$b"`
  return runIn(from, ['bash', '-c', script])
}

export async function interceptScenario(scenario: Scenario): Promise<void> {
  const problem = namespaceProblem()
  if (problem !== undefined) return scenario.skip('programs in network namespaces are intercepted', problem)
  const folder = await mkdtemp(join(tmpdir(), 'weft-intercept-'))
  scenario.cleanup(() => rm(folder, { recursive: true, force: true }))
  // The sidecars' user reads its bootstrap here.
  await chmod(folder, 0o755)
  const network = new Network()
  scenario.cleanup(() => network.close())

  const ports = 'http: 8080, tcp: 7000, mysql: 3306'
  const client: WorkloadOf = {
    name: 'client',
    namespace: network.add('client', 2),
    mode: 'REDIRECT',
    labels: 'app: client',
    ports: '',
  }
  const server: WorkloadOf = {
    name: 'server',
    namespace: network.add('server', 3),
    mode: 'REDIRECT',
    labels: 'app: server',
    ports,
  }
  const tproxy: WorkloadOf = {
    name: 'tproxy',
    namespace: network.add('tproxy', 4),
    mode: 'TPROXY',
    labels: 'app: tproxy',
    ports: 'http: 8080',
  }

  scenario.section('programs and sidecars start')
  for (const namespace of [network.core, server.namespace, tproxy.namespace]) {
    const programs = [process.execPath, join(import.meta.dirname, 'intercept/programs.ts')]
    const running = startIn(namespace, [...programs, namespace === network.core ? '::' : namespace.address])
    scenario.cleanup(() => running.stop())
    await until(() => curl(namespace, 'http://127.0.0.1:8080/').code === 0, `programs in ${namespace.name}`, running, 60_000)
  }
  const database = await startDatabase(scenario, server.namespace, join(folder, 'database'))
  const mesh = new InterceptedMesh(scenario, network, folder)
  await mesh.startControlPlane([client, server, tproxy])
  for (const workload of [server, client, tproxy]) await mesh.startSidecar(workload)

  scenario.section('outbound and inbound connections of unmodified programs')
  await scenario.attempt('curl reaches a service at its virtual address, by mutual TLS between the sidecars', () => {
    const answer = answerOf(curl(client.namespace, `http://${virtual.web}/hello?a=1`))
    expect(answer.url === '/hello?a=1' && answer.headers['host'] === virtual.web, JSON.stringify(answer))
    const certificate = String(answer.headers['x-forwarded-client-cert'])
    expect(certificate.includes('URI=spiffe://cluster.local/ns/default/sa/client'), `x-forwarded-client-cert: ${certificate}`)
    expect(/10\.77\.0\.3$/.test(answer.localAddress), `the program was called at ${answer.localAddress}`)
    return certificate.slice(0, 80)
  })
  await scenario.attempt('a raw TCP client hears a server that speaks first, and talks with it', () => {
    const before = mesh.stat(server, /^listener\..*15006\.ssl\.handshake$/)
    const { out, err } = talk(client.namespace, virtual.raw, 7000)
    expect(out === 'you are 127.0.0.6\nheard hello\n', `${out}${err}`)
    const handshakes = mesh.stat(server, /^listener\..*15006\.ssl\.handshake$/) - before
    expect(handshakes === 1, `${handshakes} TLS handshakes at the server's sidecar`)
    return `through ${mesh.stat(client, /^cluster\.outbound\|7000\|\|raw\.default.*upstream_cx_total$/)} connection of the client's sidecar`
  })
  if (database) {
    await scenario.attempt('mariadb talks with a MariaDB server, which speaks first', () => {
      const { out, err } = runIn(client.namespace, [
        'mariadb',
        '-h',
        virtual.database,
        '-u',
        'root',
        '-N',
        '-e',
        'select 40+2, version()',
      ])
      expect(out.startsWith('42\t'), `${out}${err}`)
      return out.trim()
    })
  } else scenario.skip('mariadb talks with a MariaDB server, which speaks first', 'mariadbd and mariadb are not installed')
  await scenario.attempt('a program that calls its own service comes in by its sidecar too', () => {
    const answer = answerOf(curl(server.namespace, `http://${virtual.web}/self`))
    const certificate = String(answer.headers['x-forwarded-client-cert'])
    expect(certificate.includes('URI=spiffe://cluster.local/ns/default/sa/server'), certificate)
    return undefined
  })
  await scenario.attempt('with TPROXY, inbound connections are taken as they are', () => {
    const answer = answerOf(curl(client.namespace, `http://${virtual.tproxy}/tproxy`))
    expect(String(answer.headers['x-forwarded-client-cert']).includes('sa/client'), JSON.stringify(answer))
    return undefined
  })

  scenario.section('what the mesh does not know')
  await scenario.attempt('is reached where it is, by IPv4 and IPv6', () => {
    for (const host of [network.core.address, `[${network.core.addressV6}]`]) {
      const answer = answerOf(curl(client.namespace, `http://${host}:8080/outside`))
      expect(answer.localAddress.endsWith(host.replace(/[[\]]/g, '')), JSON.stringify(answer))
      expect(answer.headers['host'] === `${host}:8080`, JSON.stringify(answer.headers))
    }
    const { out } = talk(client.namespace, network.core.address, 7100)
    expect(out === 'you are ::ffff:10.77.0.2\nheard hello\n', out)
    const carried = mesh.stat(client, /^cluster\.PassthroughCluster\.upstream_cx_total$/)
    expect(carried >= 3, `${carried} connections were let through by the sidecar`)
    return `${carried} connections through the sidecar`
  })
  await scenario.attempt('is not reached with REGISTRY_ONLY, while services are', async () => {
    mesh.configure('sidecar.yaml', outboundPolicy('REGISTRY_ONLY'))
    await until(() => curl(client.namespace, `http://${network.core.address}:8080/`).code !== 0, 'the sidecar to refuse it')
    answerOf(curl(client.namespace, `http://${virtual.web}/`))
    mesh.configure('sidecar.yaml', outboundPolicy('ALLOW_ANY'))
    await until(() => curl(client.namespace, `http://${network.core.address}:8080/`).code === 0, 'the sidecar to let it through')
    return undefined
  })

  scenario.section('callers without a sidecar')
  await scenario.attempt('STRICT: are refused, at ports of services and at others', () => {
    const web = curl(network.core, `http://${server.namespace.address}:8080/`)
    expect(web.code !== 0, `curl was answered: ${web.out}`)
    const raw = talk(network.core, server.namespace.address, 7100)
    expect(!raw.out.includes('you are'), raw.out)
    return undefined
  })
  await scenario.attempt('PERMISSIVE: are let in, and caught all the same', async () => {
    mesh.configure('peer-authentication.yaml', peerAuthentication('PERMISSIVE'))
    const web = (): Ran => curl(network.core, `http://${server.namespace.address}:8080/plain`)
    await until(() => web().code === 0, 'plaintext to be let in')
    const answer = answerOf(web())
    expect(/127\.0\.0\.6$/.test(answer.remoteAddress), `the program was called by ${answer.remoteAddress}`)
    const { out } = talk(network.core, server.namespace.address, 7100)
    expect(out === 'you are 127.0.0.6\nheard hello\n', `a port without a service: ${out}`)
    return undefined
  })

  scenario.section('what the rules leave out')
  const passed = (): number => mesh.stat(client, /^cluster\.PassthroughCluster\.upstream_cx_total$/)
  /** Whether the sidecar carries this connection to a program outside of the mesh, which answers in any case. */
  const isCaught = (command: () => Ran): boolean => {
    const before = passed()
    const ran = command()
    expect(ran.code === 0, `${ran.out}${ran.err}`)
    return passed() > before
  }
  const { address, addressV6 } = network.core
  const web = (host: string) => (): Ran => curl(client.namespace, `http://${host}:8080/`)
  const raw = (): Ran => talk(client.namespace, address, 7100)
  const asUser = (): Ran =>
    runIn(client.namespace, ['setpriv', '--reuid=4242', '--clear-groups', 'curl', '-s', `http://${address}:8080/`])
  const [v4, v6] = [web(address), web(`[${addressV6}]`)]
  const cases: { what: string; flags: string[]; caught: (() => Ran)[]; free: (() => Ran)[] }[] = [
    { what: 'a range (-x)', flags: ['-x', `${address}/32`], caught: [v6], free: [v4, raw] },
    { what: 'a range of IPv6 (-x)', flags: ['-x', `${addressV6}/128`], caught: [v4], free: [v6] },
    { what: 'all but a range (-i)', flags: ['-i', '10.96.0.0/16'], caught: [], free: [v4, v6, raw] },
    { what: 'all but a port (-i, -q)', flags: ['-i', '10.96.0.0/16', '-q', '7100'], caught: [raw], free: [v4, v6] },
    { what: 'a port (-o)', flags: ['-o', '8080'], caught: [raw], free: [v4, v6] },
    { what: 'a user (-u)', flags: ['-u', `${proxyUser},4242`], caught: [v4, v6], free: [asUser] },
  ]
  for (const { what, flags, caught, free } of cases) {
    await scenario.attempt(what, () => {
      const ran = mesh.weft('iptables', '--network-namespace', client.namespace.name, ...flags)
      expect(ran.code === 0, ran.err)
      expect(caught.every(isCaught), 'a connection went past the sidecar')
      expect(!free.some(isCaught), 'the sidecar was asked')
      if (!flags.includes('-o')) answerOf(curl(client.namespace, `http://${virtual.web}/`))
      return undefined
    })
  }
  await scenario.attempt('inbound ports (-b, -d)', () => {
    for (const flags of [
      ['-b', '8080'],
      ['-d', '7100'],
    ]) {
      const ran = mesh.weft('iptables', '--network-namespace', server.namespace.name, ...flags)
      expect(ran.code === 0, ran.err)
      const { out } = talk(network.core, server.namespace.address, 7100)
      expect(out === `you are ${network.core.address}\nheard hello\n`, out)
      const answer = answerOf(curl(network.core, `http://${server.namespace.address}:8080/`))
      expect(/127\.0\.0\.6$/.test(answer.remoteAddress), `the program was called by ${answer.remoteAddress}`)
    }
    return undefined
  })

  scenario.section('weft iptables --undo')
  await scenario.attempt('lets connections go where they want', () => {
    const undone = mesh.weft('iptables', '--network-namespace', client.namespace.name, '--undo')
    expect(undone.code === 0, undone.err)
    expect(!isCaught(v4) && !isCaught(v6), 'the sidecar was asked')
    expect(curl(client.namespace, `http://${virtual.web}/`).code !== 0, 'a virtual address was reached')
    return undefined
  })
}

/** A MariaDB server without any tables of its own; false where there is none. */
async function startDatabase(scenario: Scenario, namespace: Namespace, folder: string): Promise<boolean> {
  const mariadbd = findCommand('mariadbd')
  if (mariadbd === undefined || findCommand('mariadb') === undefined) return false
  await mkdir(folder)
  const running = startIn(namespace, [
    mariadbd,
    ...[
      '--no-defaults',
      `--datadir=${folder}`,
      '--user=root',
      '--skip-grant-tables',
      '--bind-address=0.0.0.0',
      '--skip-name-resolve',
    ],
    ...[`--socket=${join(folder, 'socket')}`, `--pid-file=${join(folder, 'pid')}`, '--innodb-buffer-pool-size=8M'],
  ])
  scenario.cleanup(() => running.stop(15_000))
  const answers = (): boolean => runIn(namespace, ['mariadb', '-h', '127.0.0.1', '-u', 'root', '-e', 'select 1']).code === 0
  await until(answers, 'MariaDB to answer', running, 90_000)
  return true
}
