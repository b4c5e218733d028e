import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { bagOf } from '@weft/attributes/bag'
import { createLogger } from '@weft/service/logger'
import { Registry } from '@weft/service/metrics'
import { until } from '@weft/service/testing/until'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Exposition } from '../adapters/prometheus/exposition.ts'
import { check } from '../dispatch/check.ts'
import { DispatchMetrics } from '../dispatch/metrics.ts'
import { allocate } from '../dispatch/quota.ts'
import { defaultConfigDir } from '../service.ts'
import { HandlerTable } from './handler-table.ts'
import { type MixerConfig, startMixerConfig } from './mixer-config.ts'

const logger = createLogger('test', 'silent')
const cases = resolve(import.meta.dirname, '../../../../../shared/cases')

let dir: string
let config: MixerConfig | undefined
let metrics: DispatchMetrics

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'weft-mixer-config-'))
})

afterEach(async () => {
  await config?.close()
  config = undefined
  await rm(dir, { recursive: true, force: true })
})

/** Reads the folder, and Mixer's defaults. */
async function open(): Promise<MixerConfig> {
  const registry = new Registry()
  metrics = new DispatchMetrics(registry, new Exposition(), logger)
  config = await startMixerConfig({
    configDirs: [dir],
    defaultDirs: [defaultConfigDir],
    adapterDir: undefined,
    handlers: new HandlerTable({ logger, metrics, exposition: new Exposition(), redisUrl: undefined }),
    logger,
    registry,
  })
  return config
}

async function write(file: string, text: string): Promise<void> {
  await writeFile(join(dir, file), text)
}

function own(mixer: MixerConfig) {
  return mixer.status().objects.filter(({ file }) => file.startsWith(dir))
}

async function codeFor(mixer: MixerConfig, attributes: Parameters<typeof bagOf>[0]): Promise<number> {
  return (await check(mixer.plan, bagOf(attributes), 1_000, metrics)).code
}

const denier = (code: number) => `
apiVersion: config.istio.io/v1alpha2
kind: denier
metadata: { name: deny, namespace: default }
spec: { status: { code: ${code}, message: no } }
`
const nothing = `
apiVersion: config.istio.io/v1alpha2
kind: checknothing
metadata: { name: all, namespace: default }
spec: {}
`
const rule = (match: string) => `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: denials, namespace: default }
spec:
  match: ${match}
  actions:
  - handler: deny.denier
    instances: [all.checknothing]
`

describe('configuration', () => {
  it('starts with the manifest and the metrics of the mesh, all of them accepted', async () => {
    const mixer = await open()
    expect(mixer.status().objects.filter(({ status }) => status !== 'accepted')).toEqual([])
    expect(mixer.plan.report.all.map(({ name }) => name)).toContain('promhttp.istio-system')
  })

  it('refuses a bad object alone, with file, line and reason', async () => {
    await write('rules.yaml', [denier(7), nothing, rule('request.path == 3')].join('---'))
    await write(
      'more.yaml',
      'apiVersion: config.istio.io/v1alpha2\nkind: denier\nmetadata: { name: other }\nspec:\n  status:\n    colour: red\n',
    )
    const mixer = await open()
    const refused = own(mixer).filter(({ status }) => status === 'refused')
    expect(refused.map(({ name }) => name).sort()).toEqual(['denials', 'other'])
    const problems = refused.flatMap((object) => object.problems).join('\n')
    expect(problems).toMatch(/rules\.yaml:16: spec\.match: .*STRING/)
    expect(problems).toMatch(/more\.yaml:6: spec\.status\.colour: unknown field 'colour'/)
    expect(own(mixer).filter(({ status }) => status === 'accepted')).toHaveLength(2)
  })

  it('finds the line of a field in snake case, which the schema knows in camel case', async () => {
    await write(
      'quota.yaml',
      'apiVersion: config.istio.io/v1alpha2\nkind: memquota\nmetadata: { name: q }\nspec:\n  quotas:\n  - name: a\n    max_amount: many\n',
    )
    const [object] = own(await open())
    expect(object?.problems[0]).toMatch(/quota\.yaml:7: spec\.quotas\[0\]\.max_amount: /)
  })

  it('follows a change, and keeps the last good version of an object that turns bad', async () => {
    await write('denier.yaml', denier(7))
    await write('rules.yaml', `${nothing}---${rule('"true"')}`)
    const mixer = await open()
    const request = { 'destination.namespace': 'default' }
    expect(await codeFor(mixer, request)).toBe(7)

    await write('denier.yaml', denier(16))
    await until(async () => (await codeFor(mixer, request)) === 16, 'the new code')

    await write('denier.yaml', denier(99))
    await until(() => own(mixer).some(({ status }) => status === 'kept'), 'the refusal')
    expect(await codeFor(mixer, request)).toBe(16)
    expect(own(mixer).find(({ status }) => status === 'kept')?.problems[0]).toMatch(/denier\.yaml:5: spec\.status\.code/)

    await rm(join(dir, 'rules.yaml'))
    await until(async () => (await codeFor(mixer, request)) === 0, 'the rule to go')
  })

  it('keeps what a handler counted while its parameters stay the same', async () => {
    const quota = `
apiVersion: config.istio.io/v1alpha2
kind: memquota
metadata: { name: counter, namespace: istio-system }
spec: { quotas: [{ name: requests.quota.istio-system, maxAmount: 2 }] }
---
apiVersion: config.istio.io/v1alpha2
kind: quota
metadata: { name: requests, namespace: istio-system }
spec: {}
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: count, namespace: istio-system }
spec: { actions: [{ handler: counter.memquota, instances: [requests.quota] }] }
`
    await write('quota.yaml', quota)
    const mixer = await open()
    const request = { name: 'requests', amount: 2, bestEffort: false, dedupId: '' }
    expect((await allocate(mixer.plan, bagOf({}), request, 1_000, metrics)).amount).toBe(2)
    const before = mixer.plan
    await write('denier.yaml', denier(7))
    await until(() => mixer.plan !== before, 'a new plan')
    expect((await allocate(mixer.plan, bagOf({}), request, 1_000, metrics)).amount).toBe(0)
    await write('quota.yaml', quota.replace('maxAmount: 2', 'maxAmount: 3'))
    await until(
      async () => (await allocate(mixer.plan, bagOf({}), { ...request, amount: 3 }, 1_000, metrics)).amount === 3,
      'a new limit',
    )
  })

  it('says which names it looked for, and leaves out only the action that lacks something', async () => {
    const two = rule('"true"').replace(
      'instances: [all.checknothing]',
      'instances: [all.checknothing]\n  - handler: nobody\n    instances: [all.checknothing]',
    )
    await write('rules.yaml', [denier(7), nothing, two].join('---'))
    const mixer = await open()
    expect(await codeFor(mixer, { 'destination.namespace': 'default' })).toBe(7)
    const problem = own(mixer).find(({ name }) => name === 'denials')?.problems[0]
    expect(problem).toMatch(/handler 'nobody' is not found .*nobody\.handler\.default, nobody\.handler\.istio-system/)
  })

  it("lets an operator's object take the place of a default of the same name, without a word", async () => {
    await write(
      'own.yaml',
      'apiVersion: config.istio.io/v1alpha2\nkind: metric\nmetadata: { name: requestcount, namespace: istio-system }\nspec: { value: request.size | 1 }\n',
    )
    const mixer = await open()
    expect(own(mixer)).toMatchObject([{ name: 'requestcount', status: 'accepted', problems: [] }])
    expect(mixer.status().problems).toEqual([])
  })

  it('tells what is missing of adapters that it does not have', async () => {
    await write('fluentd.yaml', 'apiVersion: config.istio.io/v1alpha2\nkind: fluentd\nmetadata: { name: f }\nspec: {}\n')
    await write(
      'remote.yaml',
      'apiVersion: config.istio.io/v1alpha2\nkind: handler\nmetadata: { name: r }\nspec: { adapter: mine, connection: { address: "x:1" } }\n',
    )
    const problems = own(await open()).flatMap((object) => object.problems)
    expect(problems.join('\n')).toMatch(/fluentd\.yaml:2: kind: adapter 'fluentd' of Istio is not part of this Mixer/)
    expect(problems.join('\n')).toMatch(/remote\.yaml:4: spec\.connection: adapter 'mine' runs out of process at x:1/)
  })
})

const withCases = existsSync(cases) ? describe : describe.skip
if (!existsSync(cases)) console.log(`skipped: ${cases} is not there, so Istio's own configuration is not tried`)

withCases('configuration of Istio 1.0', () => {
  /** What the original's Mixer would not have taken either, or what needs a part that is not here. */
  const expected = [
    /the handler cannot open: .* needs a Kubernetes API/,
    /cannot open: this action is left out/,
    /runs out of process/,
    /handler 'source-whitelist\.istio-system' is not found/,
    /handler 'prometheus-handler' is not found/,
  ]

  it("loads each file of Mixer's test data", async () => {
    const folders = [join(cases, 'mixer-config/testdata-config'), join(cases, 'mixer-config')]
    const sources = (
      await Promise.all(folders.map(async (folder) => (await readdir(folder)).map((name) => join(folder, name))))
    ).flat()
    for (const source of sources.filter((name) => name.endsWith('.yaml'))) {
      await rm(dir, { recursive: true, force: true })
      await mkdir(dir)
      const text = await readFile(source, 'utf8')
      await write('case.yaml', text.replaceAll('{{ .Release.Namespace }}', 'istio-system').replaceAll(/^.*\{\{-.*$/gm, ''))
      const mixer = await open()
      const problems = [...own(mixer).flatMap((object) => object.problems), ...mixer.status().problems]
      const unexpected = problems.filter(
        (problem) => !expected.some((pattern) => pattern.test(problem)) && !isReferenceElsewhere(source, problem),
      )
      expect(unexpected, source).toEqual([])
      await mixer.close()
      config = undefined
    }
  })

  /** These files refer to handlers and instances that another file of the same folder defines. */
  function isReferenceElsewhere(source: string, problem: string): boolean {
    return (
      /source_ip_deny|source_user_filter|listcheckoop|prometheusoop|prometheus\.yaml|tcpmetrics/.test(source) &&
      /is not found/.test(problem)
    )
  }

  it.each([
    'mixer-rule-additional-telemetry',
    'mixer-rule-deny-label',
    'mixer-rule-deny-serviceaccount',
    'mixer-rule-ingress-denial',
    'mixer-rule-kubernetesenv-telemetry',
    'mixer-rule-productpage-ratelimit',
    'mixer-rule-ratings-denial',
    'mixer-rule-ratings-ratelimit',
  ])('loads the sample policy %s without a problem', async (name) => {
    await copyFile(join(cases, 'samples-1.0/bookinfo/policy', `${name}.yaml`), join(dir, 'policy.yaml'))
    const mixer = await open()
    expect(own(mixer).filter(({ problems }) => problems.length > 0)).toEqual([])
    expect(mixer.status().problems).toEqual([])
  })

  it('denies by a sample policy, and names the rule', async () => {
    await copyFile(join(cases, 'samples-1.0/bookinfo/policy/mixer-rule-deny-label.yaml'), join(dir, 'policy.yaml'))
    const mixer = await open()
    const bag = bagOf({
      'destination.namespace': 'default',
      'destination.labels': new Map([['app', 'ratings']]),
      'source.labels': new Map([
        ['app', 'reviews'],
        ['version', 'v3'],
      ]),
    })
    const outcome = await check(mixer.plan, bag, 1_000, metrics)
    expect(outcome).toMatchObject({ code: 7, message: 'denyreviewsv3.default/denyreviewsv3handler.denier.default: Not allowed' })
  })
})
