/**
 * Programs that know nothing of a mesh, as one process: `node programs.ts ADDRESS`. HTTP on 8080 (all addresses) and a TCP
 * server that speaks first on 7000 and on 7100 (the given address alone); each tells what it saw.
 */
import http from 'node:http'
import net from 'node:net'

const [address = '::'] = process.argv.slice(2)
const web = http.createServer((request, response) => {
  const { remoteAddress, localAddress, localPort } = request.socket
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify({ url: request.url, headers: request.headers, remoteAddress, localAddress, localPort })}\n`)
})
web.listen(8080, '::')
for (const port of [7000, 7100]) {
  net
    .createServer((socket) => {
      socket.write(`you are ${socket.remoteAddress}\n`)
      socket.on('data', (text) => socket.end(`heard ${text.toString('utf8')}`))
      socket.on('error', () => {})
    })
    .listen(port, address)
}
