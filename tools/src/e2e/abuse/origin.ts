/** A server behind the proxies, in a process of its own. Usage: origin.ts PORT; /big has 1 MiB. */
import { createServer } from 'node:http'

const big = Buffer.alloc(1024 * 1024, 'x')
createServer({ keepAliveTimeout: 600_000 }, (request, response) =>
  response.end(request.url === '/attack/big' ? big : 'hello'),
).listen(Number(process.argv[2]), '127.0.0.1')
