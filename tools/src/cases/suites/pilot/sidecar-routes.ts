import { targetOf } from '@weft/pilot/testing/built-for'
import { array, type JsonObject, object, readCases, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { configurationOf } from './configuration.ts'

/** Which virtual hosts a sidecar's route configuration has, and which clusters they lead to. */
export function pilotSidecarRoutes(dir: string): CaseResult[] {
  const file = readCases(dir, 'pilot-sidecar-routes.json')
  return array(file['cases'], 'cases').map((value) => play(object(value, 'case')))
}

function play(testCase: JsonObject): CaseResult {
  const name = text(testCase['test'], 'test')
  const expected = testCase['expectedVirtualHostClusters'] ?? null
  try {
    const { built } = configurationOf(testCase)
    const routes = built.routes.get(text(testCase['routeName'], 'routeName'))
    const clusters = new Map(routes?.virtualHosts.map((host) => [host.name.replace(/:\d+$/, ''), host.routes.map(targetOf)]))
    if (expected === null) {
      const hosts = [...clusters.keys()].filter((host) => host !== 'allow_any')
      return { name, passed: hosts.length === 0, expected, actual: hosts }
    }
    const wanted = Object.entries(object(expected, 'expectedVirtualHostClusters'))
    const actual = Object.fromEntries(wanted.map(([host]) => [host, clusters.get(host) ?? null]))
    return { name, passed: JSON.stringify(actual) === JSON.stringify(Object.fromEntries(wanted)), expected, actual }
  } catch (thrown) {
    return { name, passed: false, expected, actual: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}
