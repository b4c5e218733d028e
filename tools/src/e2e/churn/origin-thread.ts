import { createServer } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

/**
 * Origins on a thread of their own, so that load and control plane don't make each other wait: each port answers every
 * request by its letter.
 */
const names: string[] = workerData
const ports = await Promise.all(names.map(listen))
parentPort?.postMessage(ports)

function listen(name: string): Promise<number> {
  const answer = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n${name}`)
  const server = createServer({ noDelay: true }, (socket) => {
    let matched = 0
    socket.on('error', () => socket.destroy())
    socket.on('data', (bytes: Buffer) => {
      // Requests without bodies: each ends with an empty line.
      for (const byte of bytes) {
        matched = byte === (matched % 2 === 0 ? 13 : 10) ? matched + 1 : byte === 13 ? 1 : 0
        if (matched < 4) continue
        matched = 0
        socket.write(answer)
      }
    })
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(address !== null && typeof address !== 'string' ? address.port : 0)
    })
  })
}
