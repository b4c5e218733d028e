import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { bagOf } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import { manifestOf } from '@weft/attributes/manifest'
import { stringify } from '@weft/attributes/stringify'
import { describe, expect, it } from 'vitest'
import { compile } from './expression.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/expressions.md'), 'utf8')
const block = /^```\n([\s\S]*?)^```/m.exec(page)?.[1] ?? ''
const examples = block
  .trim()
  .split('\n')
  .map((line) => line.split('→').map((part) => part.trim()))

const manifest = manifestOf({
  'request.path': 'STRING',
  'request.size': 'INT64',
  'request.headers': 'STRING_MAP',
  'request.time': 'TIMESTAMP',
  'source.ip': 'IP_ADDRESS',
  'source.name': 'STRING',
  'source.labels': 'STRING_MAP',
  'destination.service.host': 'STRING',
  'response.duration': 'DURATION',
  'connection.mtls': 'BOOL',
})

const bag = bagOf({
  'request.path': '/reviews/42',
  'request.size': 300n,
  'request.headers': new Map([
    ['user-agent', 'curl'],
    ['x-user', 'mary'],
  ]),
  'request.time': new Date('2018-08-01T12:00:00Z'),
  'source.ip': Uint8Array.of(10, 0, 0, 7),
  'destination.service.host': 'reviews.default.svc.cluster.local',
  'response.duration': Duration.fromMilliseconds(25),
  'connection.mtls': true,
})

describe('the examples in docs/expressions.md', () => {
  it('are there', () => expect(examples.length).toBeGreaterThan(15))

  it.each(examples)('%s gives %s', (text = '', result = '') => {
    expect(stringify(compile(text, manifest).evaluate(bag))).toBe(result)
  })
})
