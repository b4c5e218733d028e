/**
 * The scenario `registries`: the one conformance suite on every platform that Pilot follows, the real one where it can be
 * had; `WEFT_PLATFORMS=consul,file` names some.
 */
import { whyNot } from '@weft/pilot/registries/conformance/behaviour'
import type { Platform } from '@weft/pilot/registries/conformance/platform'
import { suite } from '@weft/pilot/registries/conformance/suite'
import { filePlatform } from '@weft/pilot/registries/file/platform'
import { WeftError } from '@weft/service/errors'
import { median } from '../bench/table.ts'
import { installConsul } from '../consul/install.ts'
import { installKubernetes } from '../kubernetes/install.ts'
import { consulPlatform } from './registries/consul-platform.ts'
import { kubernetesOfServer } from './registries/kubernetes-platform.ts'
import { nomadPlatform } from './registries/nomad-platform.ts'
import { expect, type Scenario } from './scenario.ts'

/** How long a single change may take from the platform to Pilot's model, for the median of all. */
const mostMs = 1_000

interface Candidate {
  /** What it is run on. */
  what: string
  /** Undefined where it cannot be had here. */
  open: () => Promise<Platform | undefined>
}

const candidates: Readonly<Record<string, Candidate>> = {
  file: { what: 'a folder of YAML', open: filePlatform },
  kubernetes: {
    what: 'a real kube-apiserver',
    open: async () => {
      const bin = installKubernetes()
      return bin === undefined ? undefined : kubernetesOfServer(bin)
    },
  },
  consul: {
    what: 'a real Consul server',
    open: async () => {
      const binary = installConsul()
      return binary === undefined ? undefined : consulPlatform(binary)
    },
  },
  nomad: { what: 'the stand-in for Nomad', open: nomadPlatform },
}

export async function registriesScenario(scenario: Scenario): Promise<void> {
  const chosen = process.env['WEFT_PLATFORMS']?.split(',')
  const unknown = (chosen ?? []).filter((name) => !(name in candidates))
  if (unknown.length > 0)
    throw new WeftError(
      'invalid_argument',
      `WEFT_PLATFORMS: no platform '${unknown.join("', '")}'; there are: ${Object.keys(candidates).join(', ')}`,
    )
  const only = process.env['WEFT_BEHAVIOURS']
  for (const [name, { what, open }] of Object.entries(candidates)) {
    if (chosen !== undefined && !chosen.includes(name)) continue
    scenario.section(`${name}, on ${what}`)
    const platform = await open()
    if (platform === undefined) {
      scenario.skip(`the suite of ${suite.length} behaviours`, `${what} is not on this machine and could not be built`)
      continue
    }
    const latencies: number[] = []
    try {
      for (const behaviour of suite) {
        if (only !== undefined && !behaviour.name.includes(only)) continue
        const reason = whyNot(behaviour, platform)
        if (reason !== undefined) {
          scenario.skip(behaviour.name, reason)
          continue
        }
        await scenario.attempt(behaviour.name, async () => {
          await platform.set([])
          await behaviour.run(platform, latencies)
          return undefined
        })
      }
      // A part of the suite may change nothing.
      if (only !== undefined && latencies.length === 0) continue
      await scenario.attempt(`a change is in Pilot's model within ${mostMs} ms (median)`, () => {
        expect(latencies.length > 0, 'no change was timed')
        const middle = median(latencies)
        expect(middle <= mostMs, `the median of ${latencies.length} changes is ${Math.round(middle)} ms`)
        return `median ${middle.toFixed(1)} ms, worst ${Math.max(...latencies).toFixed(0)} ms of ${latencies.length} changes`
      })
    } finally {
      await platform.close()
    }
  }
}
