import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { kindOf } from './commands/kinds.ts'
import { runWeft } from './main.ts'
import { type Terminal, table } from './terminal.ts'

interface Asked {
  method: string
  url: string
  authorization: string | undefined
  body: string
}

let folder: string
let pilot: Server
let address: string
let asked: Asked[]
let answer: (request: IncomingMessage) => { status?: number; body: string }
let printed: string[]
let told: string[]

const terminal: Terminal = {
  print: (line) => printed.push(line),
  tell: (line) => told.push(line),
  progress: () => {},
  style: (_, styled) => styled,
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-command-'))
  asked = []
  printed = []
  told = []
  answer = () => ({ body: '{}' })
  pilot = createServer(async (request, response) => {
    const { method = '', url = '', headers } = request
    asked.push({ method, url, authorization: headers.authorization, body: await text(request) })
    const { status = 200, body } = answer(request)
    response.writeHead(status).end(body)
  })
  await new Promise<void>((resolve) => pilot.listen(0, '127.0.0.1', resolve))
  const bound = pilot.address()
  address = `127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`
  await writeFile(join(folder, 'token'), 'secret\n')
})
afterEach(async () => {
  pilot.closeAllConnections()
  await new Promise((resolve) => pilot.close(resolve))
  await rm(folder, { recursive: true, force: true })
})

const weft = (...args: string[]): Promise<number> => runWeft(args, terminal)
const here = (): string[] => ['--pilot', address, '--operator-token-file', join(folder, 'token')]

const applied = {
  dryRun: false,
  generation: 2,
  results: [{ object: 'VirtualService/default/a', action: 'created', file: '' }],
  problems: [],
}

describe('weft apply', () => {
  it('sends files with their names and the operator token, and prints what was done', async () => {
    await writeFile(join(folder, 'a.yaml'), 'kind: VirtualService')
    answer = () => ({ body: JSON.stringify(applied) })
    expect(await weft('apply', '-f', join(folder, 'a.yaml'), ...here())).toBe(0)
    expect(asked).toEqual([
      {
        method: 'POST',
        url: '/v1/apply?dry_run=false',
        authorization: 'Bearer secret',
        body: JSON.stringify({ files: [{ name: join(folder, 'a.yaml'), content: 'kind: VirtualService' }] }),
      },
    ])
    expect(printed).toEqual(['VirtualService/default/a created'])
  })

  it('tells every problem of a refused request, and ends with 3', async () => {
    await writeFile(join(folder, 'a.yaml'), 'x')
    const problem = {
      severity: 'error',
      message: 'unknown field "x"',
      file: 'a.yaml',
      line: 7,
      path: 'spec.x',
      hint: 'remove it',
    }
    answer = () => ({
      status: 400,
      body: JSON.stringify({ error: 'no', code: 'invalid_argument', problems: [problem, problem] }),
    })
    expect(await weft('apply', '-f', folder, ...here())).toBe(3)
    expect(told).toEqual([
      'error: a.yaml:7: spec.x: unknown field "x" (remove it)',
      'error: a.yaml:7: spec.x: unknown field "x" (remove it)',
      'nothing was applied',
    ])
  })

  it('waits for every proxy; a refusal is told with the line it came from, and ends with 5', async () => {
    await writeFile(join(folder, 'a.yaml'), 'x')
    const nack = {
      node: 'sidecar~1',
      resourceType: 'Listener',
      resource: 'l',
      message: 'bad',
      objects: [{ object: 'o', file: 'f', line: 3 }],
    }
    const lines = [
      { type: 'applied', ...applied },
      { type: 'progress', acked: 1, total: 2 },
      { type: 'nack', ...nack },
    ]
    const done = { type: 'done', acked: 1, total: 2, nacked: ['sidecar~1'], waiting: [] }
    answer = () => ({ body: [...lines, done].map((line) => `${JSON.stringify(line)}\n`).join('') })
    expect(await weft('apply', '--wait', '-f', join(folder, 'a.yaml'), ...here())).toBe(5)
    expect(told).toContain('refused: sidecar~1 refused Listener l: bad (from o, f:3)')
    answer = () => ({ body: `${JSON.stringify(lines[0])}\n${JSON.stringify({ ...done, acked: 2, nacked: [] })}\n` })
    expect(await weft('apply', '--wait', '-f', join(folder, 'a.yaml'), ...here())).toBe(0)
  })

  it('names a file that is not there', async () => {
    expect(await weft('apply', '-f', join(folder, 'none.yaml'), ...here())).toBe(1)
    expect(told[0]).toBe(`error: ${join(folder, 'none.yaml')}: there is no such file or folder (name one with -f)`)
  })
})

describe('weft get and delete', () => {
  const item = {
    object: 'VirtualService/default/a',
    kind: 'VirtualService',
    apiVersion: 'v1',
    namespace: 'default',
    name: 'a',
    file: 'a.yaml',
    line: 2,
  }

  it('prints objects with the place they are written in, or as YAML', async () => {
    answer = () => ({ body: JSON.stringify({ generation: 1, items: [{ ...item, value: { kind: 'VirtualService' } }] }) })
    expect(await weft('get', 'vs', ...here())).toBe(0)
    expect(asked[0]?.url).toBe('/v1/config/VirtualService')
    expect(printed[0]).toBe('KIND             NAMESPACE   NAME   WRITTEN IN\nVirtualService   default     a      a.yaml:2')
    expect(await weft('get', 'vs', 'a', '-o', 'yaml', ...here())).toBe(0)
    expect(printed[1]).toBe('kind: VirtualService')
    expect(await weft('get', 'vs', 'b', ...here())).toBe(1)
    expect(told[0]).toContain("there is no vs 'b' in any namespace")
  })

  it('deletes what a file defines, each in its namespace', async () => {
    const yaml = 'kind: VirtualService\nmetadata: { name: a }\n---\nkind: rule\nmetadata: { name: b, namespace: istio-system }\n'
    await writeFile(join(folder, 'a.yaml'), yaml)
    expect(await weft('delete', '-f', join(folder, 'a.yaml'), ...here())).toBe(0)
    expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'DELETE /v1/config/VirtualService/default/a',
      'DELETE /v1/config/rule/istio-system/b',
    ])
  })
})

describe('the command line', () => {
  it('ends with 2 when it is wrong, and with 0 for help', async () => {
    expect(await weft('up', '--mixer-replicas', '99')).toBe(2)
    expect(await weft('no-such-command')).toBe(2)
    expect(await weft('apply')).toBe(2)
    expect(await weft('apply', '--help')).toBe(0)
  })

  it('ends with 4 when there is nothing to talk to', async () => {
    expect(await weft('ps', '--state-dir', folder)).toBe(4)
    expect(told[0]).toContain(`no mesh runs from ${folder} (start one with weft up`)
    expect(await weft('proxy-status', '--pilot', '127.0.0.1:1')).toBe(4)
    expect(told[1]).toContain('Pilot does not answer on http://127.0.0.1:1')
  })

  it.each([
    ['vs', 'VirtualService'],
    ['virtualservices', 'virtualservice'],
    ['DestinationRule', 'destinationrule'],
    ['AuthorizationPolicies', 'authorizationpolicy'],
    ['serviceentries', 'serviceentry'],
    ['ingresses', 'ingress'],
    ['telemetries', 'telemetry'],
    ['rules', 'rule'],
  ])('knows the kind %s', (name, kind) => {
    expect(kindOf(name)).toBe(kind)
  })

  it('aligns tables', () => {
    expect(
      table(
        ['A', 'B'],
        [
          ['long', 'x'],
          ['s', 'y'],
        ],
      ),
    ).toBe('A      B\nlong   x\ns      y')
  })
})
