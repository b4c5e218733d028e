import type { AccessLogFilter } from '@weft/contracts/envoy/config/accesslog/v3/accesslog'
import { AccessLogType } from '@weft/contracts/envoy/data/accesslog/v3/accesslog'
import { RequestHead } from '@weft/http/message'
import { expect, test } from 'vitest'
import { FakeStream } from '../../filters/http/fake-stream.ts'
import { Runtime } from '../../plan/runtime.ts'
import type { FormatContext } from '../format/context.ts'
import { compileLogFilter } from './filter.ts'

function context(metadata: FormatContext['metadataOrNull'], session = false): FormatContext {
  return { ...new FakeStream().format, metadataOrNull: metadata, request: session ? null : new RequestHead() }
}

function compile(filterSpecifier: AccessLogFilter['filterSpecifier']) {
  return compileLogFilter({ filterSpecifier }, 'filter', new Runtime())
}

test('metadata decides, and where there is none the configuration', () => {
  const matcher = {
    filter: 'ns',
    path: [{ segment: { $case: 'key' as const, value: 'log' } }],
    value: { matchPattern: { $case: 'boolMatch' as const, value: true } },
    invert: false,
  }
  const byDefault = compile({ $case: 'metadataFilter', value: { matcher, matchIfKeyNotFound: undefined } })
  const strict = compile({ $case: 'metadataFilter', value: { matcher, matchIfKeyNotFound: false } })
  const cases: [FormatContext['metadataOrNull'], boolean, boolean][] = [
    [{ ns: { log: true } }, true, true],
    [{ ns: { log: false } }, false, false],
    [{ ns: {} }, true, false],
    [null, true, false],
  ]
  for (const [metadata, loose, tight] of cases) {
    expect(byDefault(context(metadata))).toBe(loose)
    expect(strict(context(metadata))).toBe(tight)
  }
})

test('kinds of logs are told apart', () => {
  const ends = compile({ $case: 'logTypeFilter', value: { types: [AccessLogType.DownstreamEnd], exclude: false } })
  const others = compile({ $case: 'logTypeFilter', value: { types: [AccessLogType.DownstreamEnd], exclude: true } })
  expect([ends(context(null)), ends(context(null, true)), others(context(null)), others(context(null, true))]).toEqual([
    true,
    false,
    false,
    true,
  ])
})
