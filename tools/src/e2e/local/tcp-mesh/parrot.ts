/** Two TCP ports: on 9000 it says back what it is told, on 9001 it speaks first, then does the same. */
import { createServer, type Socket } from 'node:net'

const host = process.env['HOST']
const echo = (socket: Socket): void => {
  socket.on('error', () => socket.destroy())
  socket.pipe(socket)
}
createServer(echo).listen(9000, host)
createServer((socket) => {
  socket.write('hello\n')
  echo(socket)
}).listen(9001, host)
