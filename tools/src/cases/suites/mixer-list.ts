import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type StatusCode, statusCodes, type Verdict } from '@weft/mixer/adapter'
import listAdapter from '@weft/mixer/adapters/list/adapter'
import { openHandler } from '@weft/mixer/testing'
import { stringify } from 'yaml'
import { z } from 'zod'
import { array, type JsonObject, object, optionalObject, readCases, text } from '../read.ts'
import type { CaseResult } from '../suite.ts'
import { paramsOf } from './mixer-params.ts'

/** The list adapter: what each list says of a value, and which parameters it refuses for which field. */
export async function mixerList(dir: string): Promise<CaseResult[]> {
  const file = readCases(dir, 'mixer-list.json')
  const results: CaseResult[] = []
  for (const scenario of array(file['scenarios'], 'scenarios'))
    results.push(...(await playScenario(object(scenario, 'scenario'))))
  for (const row of array(file['validate_config'], 'validate_config')) results.push(refusal(object(row, 'row')))
  return results
}

async function playScenario(scenario: JsonObject): Promise<CaseResult[]> {
  const name = text(scenario['name'], 'name')
  const served = optionalObject(scenario['served_list'], 'served_list')
  const provider = await serve(
    served['format'] === 'yaml' ? stringify({ whitelist: served['whitelist'] }) : String(served['body'] ?? ''),
  )
  const params = paramsOf(object(scenario['params'], 'params'))
  if ('providerUrl' in params) params['providerUrl'] = provider.url
  const handler = await openHandler(listAdapter, params)
  try {
    const check = handler.handle('listentry')
    const results: CaseResult[] = []
    for (const row of array(scenario['cases'], 'cases')) {
      const { value, status } = object(row, 'case')
      const entry = text(value, 'value')
      const answer = await check({ name: 'entry.listentry.default', value: entry }, { signal: AbortSignal.timeout(1_000) })
      const actual = typeof answer === 'object' ? codeName(answer) : String(answer)
      results.push({ name: `${name}: ${entry}`, passed: actual === status, expected: status, actual })
    }
    return results
  } finally {
    await handler.close()
    provider.server.close()
  }
}

function codeName({ code }: Verdict): StatusCode | undefined {
  const names = Object.keys(statusCodes) as StatusCode[]
  return names.find((name) => statusCodes[name] === code)
}

/** Parameters that must be refused, for the field that is wrong. */
function refusal(row: JsonObject): CaseResult {
  const expected = text(row['field'], 'field')
  let actual: string[] = []
  try {
    listAdapter.validate(paramsOf(object(row['cfg'], 'cfg')))
  } catch (error) {
    if (!(error instanceof z.core.$ZodError)) throw error
    actual = error.issues.map(({ path }) => String(path[0]))
  }
  return { name: `refuses ${JSON.stringify(row['cfg'])}`, passed: actual.includes(expected), expected: [expected], actual }
}

async function serve(body: string): Promise<{ server: Server; url: string }> {
  const server = createServer((_request, response) => response.end(body))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { server, url: `http://127.0.0.1:${port}/list` }
}
