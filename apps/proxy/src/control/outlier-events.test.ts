import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { OutlierEventLog, outlierLine } from './outlier-events.ts'

const at = new Date('2026-11-30T18:14:41.835Z')
const one = { cluster: 'c', endpoint: '127.0.0.1:80', enforced: true, ejections: 1, sinceLastMs: null }

// As Envoy 1.40 wrote them.
test.each([
  [
    { ...one, cause: 'consecutive_5xx' },
    '{"type":"CONSECUTIVE_5XX","timestamp":"2026-11-30T18:14:41.835Z","cluster_name":"c","upstream_url":"127.0.0.1:80",' +
      '"action":"EJECT","num_ejections":1,"enforced":true,"eject_consecutive_event":{}}',
  ],
  [
    { ...one, cause: null, enforced: false, sinceLastMs: 1_999 },
    '{"type":"CONSECUTIVE_5XX","timestamp":"2026-11-30T18:14:41.835Z","secs_since_last_action":"1","cluster_name":"c",' +
      '"upstream_url":"127.0.0.1:80","action":"UNEJECT","num_ejections":1,"enforced":false}',
  ],
  [
    { ...one, cause: 'failure_percentage', rates: { own: 0 } },
    '{"type":"FAILURE_PERCENTAGE","timestamp":"2026-11-30T18:14:41.835Z","cluster_name":"c","upstream_url":"127.0.0.1:80",' +
      '"action":"EJECT","num_ejections":1,"enforced":true,"eject_failure_percentage_event":{"host_success_rate":0}}',
  ],
])('an event is a line of JSON', (event, line) => {
  expect(outlierLine(event, at)).toBe(line)
})

test('success rates are told with what they were judged by', () => {
  const rates = { own: 49.9, average: 90.2, threshold: -3 }
  const line = outlierLine({ ...one, cause: 'local_origin_success_rate', rates }, at)
  expect(JSON.parse(line)).toMatchObject({
    type: 'SUCCESS_RATE_LOCAL_ORIGIN',
    eject_success_rate_event: {
      host_success_rate: 49,
      cluster_average_success_rate: 90,
      cluster_success_rate_ejection_threshold: 0,
    },
  })
})

test('a log has them line by line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'outliers-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const log = new OutlierEventLog(join(folder, 'events'))
  log.write({ ...one, cause: 'success_rate' })
  log.write({ ...one, cause: null })
  log.close()
  const lines = readFileSync(join(folder, 'events'), 'utf8').trim().split('\n')
  expect(lines.map((line) => JSON.parse(line).action)).toEqual(['EJECT', 'UNEJECT'])
})
