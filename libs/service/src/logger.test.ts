import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'

/** What a process that logs so prints to standard error, line by line. */
function logOf(body: string): Record<string, unknown>[] {
  const script = `
    import { createLogger } from ${JSON.stringify(join(import.meta.dirname, 'logger.ts'))}
    import { setTraceSource } from ${JSON.stringify(join(import.meta.dirname, 'trace-context.ts'))}
    const logger = createLogger('thing', 'info')
    ${body}`
  const text = execFileSync('/bin/sh', ['-c', '"$0" --input-type=module -e "$1" 2>&1', process.execPath, script], {
    encoding: 'utf8',
  })
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

it('a line is JSON with the service, the level by name and an ISO time', () => {
  const [line] = logOf(`logger.info({ port: 1 }, 'listening'); logger.debug('unseen')`)
  expect(line).toEqual({ level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/), service: 'thing', port: 1, msg: 'listening' })
})

it('secrets are left out, at the top and one level down', () => {
  const lines = logOf(
    `logger.info({ token: 's3cret', tls: { privateKey: 's3cret' }, request: { authorization: 's3cret' } }, 'x')`,
  )
  expect(JSON.stringify(lines)).not.toContain('s3cret')
  expect(lines[0]).toMatchObject({ token: '[redacted]', tls: { privateKey: '[redacted]' } })
})

it('a line within a trace carries its ids', () => {
  const [line] = logOf(`setTraceSource(() => ({ trace_id: 'a', span_id: 'b' })); logger.info('x')`)
  expect(line).toMatchObject({ trace_id: 'a', span_id: 'b' })
})
