/**
 * Reads what it is sent and does nothing with it: the attack on it costs the machine what the attack on a proxy does, and the proxy
 * nothing. Usage: sink.ts PORT; a connection is closed after as many bytes as a proxy takes of a hostile one.
 */
import { createServer } from 'node:net'

const enough = 32 * 1024

createServer((socket) => {
  socket.on('error', () => {})
  socket.on('data', () => {
    if (socket.bytesRead > enough) socket.destroy()
  })
}).listen(Number(process.argv[2]), '127.0.0.1')
