import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseIp } from '@weft/attributes/ip'
import { until } from '@weft/service/testing/until'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openHandler } from '../../testing.ts'
import stdio from './adapter.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'weft-stdio-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const entry = (
  severity: string,
  variables: Record<string, string | bigint | boolean | Uint8Array | Map<string, string>> = {},
) => ({
  name: 'accesslog.logentry.istio-system',
  severity,
  timestamp: new Date('2026-01-02T03:04:05.678Z'),
  variables,
  monitoredResourceType: '',
  monitoredResourceDimensions: {},
})

async function lines(params: Record<string, unknown>, entries: ReturnType<typeof entry>[]): Promise<string[]> {
  const outputPath = join(dir, 'access.log')
  const handler = await openHandler(stdio, { logStream: 'FILE', outputPath, ...params })
  for (const one of entries) await handler.handle('logentry')(one)
  await handler.close()
  return (await readFile(outputPath, 'utf8')).split('\n').slice(0, -1)
}

describe('stdio', () => {
  it('writes an entry as a line of JSON', async () => {
    const variables = { url: '/a"b\n', code: 200n, mtls: true, ip: parseIp('10.0.0.1') ?? '', labels: new Map([['app', 'x']]) }
    const [line = ''] = await lines({ outputAsJson: true }, [entry('warning', variables)])
    expect(JSON.parse(line)).toEqual({
      level: 'warn',
      time: '2026-01-02T03:04:05.678Z',
      instance: 'accesslog.logentry.istio-system',
      url: '/a"b\n',
      code: 200,
      mtls: true,
      ip: '10.0.0.1',
      labels: { app: 'x' },
    })
  })

  it('writes an entry as a line for people, which a value cannot break', async () => {
    const written = await lines({}, [entry('', { url: '/a\nb' })])
    expect(written).toEqual(['2026-01-02T03:04:05.678Z\tinfo\taccesslog.logentry.istio-system\t{"url": "/a\\nb"}'])
  })

  it('leaves out entries below its level, by its own names of severities', async () => {
    const severityLevels = { quiet: 'INFO', loud: 'ERROR' }
    const written = await lines({ outputLevel: 'WARNING', severityLevels, outputAsJson: true }, [
      entry('quiet'),
      entry('loud'),
      entry('unknown'),
    ])
    expect(written.map((line) => JSON.parse(line).level)).toEqual(['error'])
  })

  it('turns its file when it is full, and keeps as many as it may', async () => {
    const outputPath = join(dir, 'access.log')
    const handler = await openHandler(stdio, {
      logStream: 'ROTATED_FILE',
      outputPath,
      maxMegabytesBeforeRotation: 1,
      maxRotatedFiles: 1,
    })
    const big = entry('info', { text: 'x'.repeat(600_000) })
    const rotated = async () => (await readdir(dir)).filter((name) => name !== 'access.log')
    let first: string | undefined
    await until(async () => {
      await handler.handle('logentry')(big)
      const [name, ...more] = await rotated()
      first ??= name
      return more.length === 0 && name !== first
    }, 'two rotations')
    await handler.close()
  })

  it('says where it cannot write', async () => {
    const opening = openHandler(stdio, { logStream: 'FILE', outputPath: join(dir, 'none', 'access.log') })
    await expect(opening).rejects.toThrow(/cannot write to .*none\/access\.log/)
  })

  it.each([{ logStream: 'FILE' }, { outputLevel: 'LOUD' }, { severityLevels: { a: 'b' } }])('refuses %j', (params) => {
    expect(() => stdio.validate(params)).toThrow()
  })
})
