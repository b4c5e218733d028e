import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { isOfTls, tlsFailure } from './tls-failure.ts'

const from = '../deps/openssl/openssl/ssl/record/rec_layer_s3.c:918:SSL alert number 0'

function told(number: string, text: string, answered = true): string {
  return tlsFailure(new Error(`write EPROTO 80FB:error:0A${number}:SSL routines:ssl3_read_bytes:${text}:${from}`), answered)
}

test.each([
  ['000416', 'ssl/tls alert certificate unknown', '268436502:SSL routines:OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_UNKNOWN'],
  ['000418', 'tlsv1 alert unknown ca', '268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA'],
  ['000458', 'tlsv1 unrecognized name', '268436568:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNRECOGNIZED_NAME'],
  ['00045C', 'tlsv13 alert certificate required', '268436572:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED'],
  ['0000C1', 'no shared cipher', '268435640:SSL routines:OPENSSL_internal:NO_SHARED_CIPHER'],
  ['000065', 'no suitable key share', '268435722:SSL routines:OPENSSL_internal:NO_SHARED_GROUP'],
])('what OpenSSL says by %s, %s, is told as BoringSSL does', (number, text, expected) => {
  expect(told(number, text)).toBe(`TLS_error:|${expected}:TLS_error_end`)
})

test('a server that refuses the very first message is told apart from one that refuses later', () => {
  const alert = '268436496:SSL routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE'
  expect(told('000410', 'ssl/tls alert handshake failure')).toBe(`TLS_error:|${alert}:TLS_error_end`)
  expect(told('000410', 'ssl/tls alert handshake failure', false)).toBe(
    `TLS_error:|${alert}|268435610:SSL routines:OPENSSL_internal:HANDSHAKE_FAILURE_ON_CLIENT_HELLO:TLS_error_end`,
  )
})

/** How a client of TLS fails at a server that does this with each connection. */
async function failure(serve: (socket: net.Socket) => void): Promise<Error> {
  const server = net.createServer(serve).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const client = tls.connect({ port, host: '127.0.0.1' })
  onTestFinished(() => void client.destroy())
  const [error] = (await once(client, 'error')) as [Error]
  return error
}

test('a plaintext answer is a wrong version', async () => {
  const error = await failure((socket) => {
    socket.on('error', () => {})
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
  expect(tlsFailure(error)).toBe('TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end')
  expect(isOfTls(error)).toBe(true)
})

test('an end without a word has no reason, a reset has that of the system; neither is an error of TLS', async () => {
  const end = await failure((socket) => {
    socket.once('data', () => socket.end())
  })
  expect(tlsFailure(end)).toBe('')
  const reset = await failure((socket) => {
    socket.once('data', () => socket.resetAndDestroy())
  })
  expect(tlsFailure(reset)).toBe('TLS_error:|33554536:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end')
  expect([isOfTls(end), isOfTls(reset)]).toEqual([false, false])
})
