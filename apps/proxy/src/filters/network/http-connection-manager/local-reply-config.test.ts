import { ComparisonFilter_Op } from '@weft/contracts/envoy/config/accesslog/v3/accesslog'
import { describe, expect, it } from 'vitest'
import { connectionManager, routeTo } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { ask, type Upstream } from '../../../testing/worker-harness.ts'

const text = (value: string, contentType = '') => ({ format: { $case: 'textFormat' as const, value }, contentType })
const statusIs = (status: number) => ({
  filterSpecifier: {
    $case: 'statusCodeFilter' as const,
    value: { comparison: { op: ComparisonFilter_Op.EQ, value: { defaultValue: status, runtimeKey: '' } } },
  },
})
const flagged = (flag: string) => ({ filterSpecifier: { $case: 'responseFlagFilter' as const, value: { flags: [flag] } } })

async function proxyWith(...answer: ConstructorParameters<typeof Upstream>): Promise<number> {
  const localReplyConfig = {
    mappers: [
      {
        filter: statusIs(404),
        statusCode: 410,
        body: { specifier: { $case: 'inlineString' as const, value: 'gone' } },
        headersToAdd: [{ header: { key: 'x-was', value: '%RESPONSE_CODE%' } }],
      },
      {
        filter: flagged('UC'),
        bodyFormatOverride: {
          format: { $case: 'jsonFormat' as const, value: { code: '%RESPONSE_CODE%', said: '%LOCAL_REPLY_BODY%' } },
        },
      },
      { filter: flagged('UC'), statusCode: 418 },
    ],
    bodyFormat: text('says %RESPONSE_CODE%: %LOCAL_REPLY_BODY%', 'text/x'),
  }
  const proxy = await proxyTo((await upstream(...answer)).port, connectionManager([routeTo('c', '/a')], { localReplyConfig }))
  return proxy.port('in')
}

describe('local_reply_config', () => {
  it('changes status, body and headers by the first mapper that matches, and formats the body', async () => {
    const port = await proxyWith((request) => request.socket.destroy())
    expect(await ask(port, '/nowhere')).toMatchObject({
      status: 410,
      body: 'says 410: gone',
      headers: { 'x-was': '404', 'content-type': 'text/x', 'content-length': '14' },
    })
    const lost = await ask(port, '/a')
    expect(lost).toMatchObject({ status: 503, headers: { 'content-type': 'application/json' } })
    expect(JSON.parse(lost.body)).toEqual({
      code: 503,
      said: 'upstream connect error or disconnect/reset before headers. reset reason: connection termination',
    })
  })

  it('puts the body into the message of a gRPC answer', async () => {
    const port = await proxyWith((request) => request.socket.destroy())
    const headers = { 'content-type': 'application/grpc' }
    const answer = await ask(port, '/nowhere', { method: 'POST', headers })
    expect(answer).toMatchObject({ status: 200, body: '', headers: { 'grpc-status': '2', 'grpc-message': 'says 410: gone' } })
  })

  it('leaves the answers of upstream alone', async () => {
    const port = await proxyWith((_request, response) => {
      response.statusCode = 404
      response.end('own')
    })
    expect(await ask(port, '/a')).toMatchObject({ status: 404, body: 'own' })
  })
})
