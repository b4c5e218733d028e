import { once } from 'node:events'
import { createServer } from 'node:http2'
import { onTestFinished } from 'vitest'

/** A call that a collector got; the body is the message, a character a byte. */
interface CollectedCall {
  path: string
  body: string
}

/** A gRPC service that keeps what it is told, whatever the method, and answers with an empty message; it ends with the test. */
export async function grpcCollector(): Promise<{ port: number; calls: CollectedCall[] }> {
  const calls: CollectedCall[] = []
  const server = createServer()
  server.on('stream', async (stream, headers) => {
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk)
    calls.push({ path: String(headers[':path']), body: Buffer.concat(chunks).subarray(5).toString('latin1') })
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(Buffer.alloc(5))
  })
  const sessions = new Set<{ destroy(): void }>()
  server.on('session', (session) => sessions.add(session))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, calls }
}
