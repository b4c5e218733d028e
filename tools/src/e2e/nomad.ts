/**
 * The scenario `nomad`: Bookinfo as jobs, each with its sidecar as a task beside it, which proves itself by Nomad's workload
 * identity. On the stand-in for Nomad, which Nomad's own client library judges first.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installJudge, judge } from '../nomad/judge.ts'
import { NomadStandIn } from '../nomad/stand-in.ts'
import type { Job } from '../nomad/state.ts'
import { type BookinfoInstance, bookinfoPort } from './on-platform/bookinfo.ts'
import { bookinfoChecks, type HealthPages, healthPages } from './on-platform/checks.ts'
import { MeshOnPlatform } from './on-platform/mesh.ts'
import { expect, type Scenario } from './scenario.ts'

const audience = 'weft'
/** Stands in the bootstrap where the folder of the task's secrets belongs. */
const secretsPlace = 'NOMAD_SECRETS_DIR'

/** The token is read for each connection: Nomad renews it. */
const tokenOfTask = `%FILE_CONTENT(${secretsPlace}/nomad_${audience}.jwt)%`

/** The stand-in is restarted: no connection to it may be kept. */
const oneTime = { connection: 'close' }

export async function nomadScenario(scenario: Scenario): Promise<void> {
  await judgeStandIn(scenario)
  const nomad = new NomadStandIn()
  await nomad.start(0)
  scenario.cleanup(() => nomad.close())
  const health = await healthPages(scenario)
  const mesh = await MeshOnPlatform.start(scenario, {
    registry: `nomad=${nomad.url}`,
    citadel: ['--nomad-jwks', `${nomad.url}/.well-known/jwks.json`, '--nomad-issuer', nomad.url, '--nomad-audience', audience],
    // The identity of a task is its job's.
    serviceAccountOf: ({ name }) => name,
  })
  const jobs = new Map<string, Job>()
  for (const instance of mesh.instances) {
    const file = join(mesh.folder, `${instance.name}.template.json`)
    await writeFile(file, JSON.stringify(mesh.sidecarBootstrap(instance, tokenOfTask)))
    jobs.set(instance.name, jobOf(instance, file, health, mesh))
  }
  const put = async (job: Job): Promise<void> => {
    const response = await fetch(`${nomad.url}/v1/jobs`, { method: 'PUT', headers: oneTime, body: JSON.stringify({ Job: job }) })
    expect(response.ok, `Nomad answered a job with ${response.status}: ${await response.text()}`)
  }
  for (const job of jobs.values()) await put(job)
  await bookinfoChecks(scenario, {
    ...{ name: 'Nomad', mesh, health, registry: `nomad=${nomad.url}` },
    async restart() {
      await nomad.stop()
      await nomad.start()
    },
    // A service is taken out while its tasks drain: they are ended only when nobody calls them any more.
    async remove(name) {
      const found = [...nomad.state.registrations.values()].find(({ JobID }) => JobID === name)
      if (found === undefined) throw new Error(`${name} is not registered`)
      removed.set(name, found)
      const response = await fetch(`${nomad.url}/v1/service/${found.ServiceName}/${found.ID}`, {
        method: 'DELETE',
        headers: oneTime,
      })
      expect(response.ok, `Nomad answered with ${response.status}`)
    },
    async add(name) {
      const registration = removed.get(name)
      if (registration !== undefined) nomad.state.register(registration)
    },
  })
}

const removed = new Map<string, NomadStandIn['state']['registrations'] extends Map<string, infer R> ? R : never>()

async function judgeStandIn(scenario: Scenario): Promise<void> {
  scenario.section('the stand-in for Nomad')
  const program = installJudge()
  if (program === undefined) return scenario.skip("Nomad's client library judges it", 'Go is not on this machine')
  const judged = new NomadStandIn()
  await judged.start(0)
  scenario.cleanup(() => judged.close())
  await scenario.attempt("Nomad's client library accepts it", async () => {
    const said = await judge(program, judged.url)
    return `${said.split('\n').filter((line) => line.startsWith('ok')).length} checks`
  })
}

/** A job with the program and its sidecar as tasks of one group; the sidecar starts first and ends last. */
function jobOf(instance: BookinfoInstance, template: string, health: HealthPages, mesh: MeshOnPlatform): Job {
  const { name, app, version, sidecarAddress, command, env } = instance
  const [program = '', ...args] = command
  const bootstrap = '${NOMAD_SECRETS_DIR}/bootstrap.json'
  const fill = `umask 077 && sed "s|${secretsPlace}|$NOMAD_SECRETS_DIR|g" ${template} > "${bootstrap}"`
  return {
    ID: name,
    Name: name,
    Type: 'service',
    Datacenters: ['dc1'],
    TaskGroups: [
      {
        Name: app,
        Count: 1,
        Networks: [{ ReservedPorts: [{ Label: 'http', Value: bookinfoPort }, { Label: 'health', Value: health.port }] }], // biome-ignore format: one line
        Services: [
          {
            Name: app,
            PortLabel: 'http',
            Address: sidecarAddress,
            Provider: 'nomad',
            Tags: [`version=${version}`, 'protocol=http', 'sidecar=true'],
            Checks: [{ Name: 'answers', Type: 'http', Path: `/${name}`, PortLabel: 'health', Interval: 500e6, Timeout: 20e9 }],
          },
        ],
        Tasks: [
          {
            Name: 'sidecar',
            Driver: 'raw_exec',
            Lifecycle: { Hook: 'prestart', Sidecar: true },
            Identities: [{ Name: audience, Audience: [audience], File: true, TTL: 3_600e9 }],
            Config: { command: '/bin/sh', args: ['-c', `${fill} && exec ${mesh.proxyCommand(bootstrap).join(' ')}`] },
          },
          { Name: app, Driver: 'raw_exec', Config: { command: program, args }, Env: env },
        ],
      },
    ],
  }
}
