import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ProxyLog } from '../log.ts'
import { logFormatOf } from './log-format.ts'

const json = (value: Record<string, unknown>) => ({ logFormat: { logFormat: { $case: 'jsonFormat' as const, value } } })
const text = { logFormat: { logFormat: { $case: 'textFormat' as const, value: '%l\tenvoy %n\t%v' } } }

/** What a log with this pattern writes. */
function written(format: string | undefined, message: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'log-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'log')
  const log = new ProxyLog({ level: 'info', path, now: () => new Date('2026-11-30T18:14:41.835Z') })
  if (format !== undefined) log.setFormat(format)
  log.of('main').info(message)
  return readFileSync(path, 'utf8')
}

test('the log may be text of a pattern', () => {
  expect(written(logFormatOf(text, false), 'it is "so"')).toBe('info\tenvoy main\tit is "so"\n')
  expect(logFormatOf(undefined, true)).toBeUndefined()
})

test('the log may be JSON, whatever the message is', () => {
  const format = logFormatOf(json({ time: '%Y-%m-%dT%T.%fZ', level: '%l', msg: '%j', n: 5, in: { scope: 'envoy %n' } }), false)
  const message = 'a "quoted" \\ one\nof two\tlines $& $1'
  expect(JSON.parse(written(format, message))).toEqual({
    time: '2026-11-30T18:14:41.835000Z',
    level: 'info',
    msg: message.replace('\n', '\\n'),
    n: 5,
    in: { scope: 'envoy main' },
  })
})

test('a pattern is given once, and without what JSON could not hold', () => {
  expect(() => logFormatOf(text, true)).toThrow(/Only one of/)
  expect(() => logFormatOf(json({ msg: '%v' }), false)).toThrow(/Usage of %v/)
  expect(() => logFormatOf(json({ a: { b: 'x %_' } }), false)).toThrow(/Usage of %_/)
})
