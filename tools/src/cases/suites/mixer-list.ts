import { createServer, type Server } from 'node:http'
import { statusCodes, type Verdict } from '@weft/mixer/adapter'
import list from '@weft/mixer/adapters/list/adapter'
import { openHandler } from '@weft/mixer/testing'
import { z } from 'zod'
import { array, type Json, type JsonObject, object, optionalArray, readCases, text } from '../read.ts'
import type { CaseResult } from '../suite.ts'

/** The list checker: entries from a served list and overrides, value by value; and configurations that it refuses. */
export async function mixerList(dir: string): Promise<CaseResult[]> {
  const file = readCases(dir, 'mixer-list.json')
  const results: CaseResult[] = []
  for (const scenario of array(file['scenarios'], 'scenarios')) results.push(...(await play(object(scenario, 'scenario'))))
  for (const entry of optionalArray(file['validate_config'], 'validate_config'))
    results.push(refusal(object(entry, 'validate_config')))
  return results
}

async function play(scenario: JsonObject): Promise<CaseResult[]> {
  const name = text(scenario['name'], 'name')
  const body = servedBody(scenario['served_list'] ?? null)
  const server = body === undefined ? undefined : await serve(body)
  const handler = await openHandler(list, paramsOf(object(scenario['params'], 'params'), server?.url))
  try {
    const check = handler.handle('listentry')
    const results: CaseResult[] = []
    for (const entry of array(scenario['cases'], 'cases')) {
      const { value, status } = object(entry, 'case')
      const call = { signal: new AbortController().signal }
      const answer = await check({ name: 'entry.listentry.default', value: text(value, 'value') }, call)
      const actual = statusName(answer ?? undefined)
      results.push({ name: `${name}: ${value}`, passed: actual === status, expected: status, actual })
    }
    return results
  } finally {
    await handler.close()
    server?.close()
  }
}

function statusName(answer: Verdict | boolean | undefined): string {
  const code = typeof answer === 'object' ? answer.code : answer === false ? statusCodes.PERMISSION_DENIED : statusCodes.OK
  return Object.entries(statusCodes).find(([, number]) => number === code)?.[0] ?? String(code)
}

function refusal({ cfg, field }: JsonObject): CaseResult {
  let actual: unknown = 'accepted'
  try {
    list.validate(paramsOf(object(cfg, 'cfg'), undefined))
  } catch (thrown) {
    actual = thrown instanceof z.ZodError ? thrown.issues.map((issue) => issue.path[0]) : String(thrown)
  }
  return {
    name: `refuses ${JSON.stringify(cfg)}`,
    passed: Array.isArray(actual) && actual.includes(field),
    expected: field,
    actual,
  }
}

/** A list as a web server would give it. */
function servedBody(served: Json): string | undefined {
  if (served === null) return undefined
  const { body, format: _, ...lists } = object(served, 'served_list')
  if (typeof body === 'string') return body
  return Object.entries(lists)
    .map(
      ([key, entries]) =>
        `${key}:\n${array(entries, key)
          .map((entry) => `- ${JSON.stringify(entry)}\n`)
          .join('')}`,
    )
    .join('')
}

function serve(body: string): Promise<{ url: string; close(): void }> {
  return new Promise((resolve, reject) => {
    const server: Server = createServer((_, response) => {
      response.end(body)
    })
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') return reject(new Error('the list server has no port'))
      resolve({
        url: `http://127.0.0.1:${address.port}/list`,
        close() {
          server.close()
          server.closeAllConnections()
        },
      })
    })
  })
}

/** A Go struct's fields under their configuration names; whole numbers in it are durations in nanoseconds. */
function paramsOf(params: JsonObject, url: string | undefined): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(params).map(([field, value]) => {
      const name = `${field[0]?.toLowerCase()}${field.slice(1)}`
      if (name === 'providerUrl' && url !== undefined) return [name, url]
      return [name, typeof value === 'number' ? `${value / 1e9}s` : value]
    }),
  )
}
