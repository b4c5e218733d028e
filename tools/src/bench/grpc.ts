/**
 * gRPC through a proxy on one core, to a server that gives each message back and ends with `grpc-status` in trailers. Unary:
 * h2load sends calls as gRPC frames them. Streaming: calls of grpc-js on which a message goes each way by turns.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ProbeClient } from '../e2e/grpc/js-client.ts'
import { freePort } from '../processes.ts'
import { type BenchOptions, chosen } from './bench-options.ts'
import { http2Bootstrap } from './h2.ts'
import { Bench, type Contender, h2load, type Load, measure } from './proxy-bench.ts'

const clients = 8
const streams = 8
const messageBytes = 256
const echoServer = join(import.meta.dirname, 'grpc-echo.ts')

/** Runs the benchmark and prints a table and one JSON line for each kind of call. */
export async function benchGrpc(options: BenchOptions): Promise<void> {
  await Bench.run(async (bench) => {
    const server = await freePort()
    await bench.start(1, [process.execPath, echoServer, String(server)], server)
    const message = join(bench.folder, 'message')
    const head = Buffer.from([0, 0, 0, messageBytes >> 8, messageBytes & 255])
    await writeFile(message, Buffer.concat([head, Buffer.alloc(messageBytes, 'x')]))
    const grpc = ['-d', message, ...['content-type: application/grpc', 'te: trailers'].flatMap((header) => ['-H', header])]

    const byUnary = await contenders(bench, options, server, (port) => {
      const url = `http://127.0.0.1:${port}/weft.e2e.Probe/Echo`
      return (seconds) => h2load(url, clients, streams, seconds, grpc)
    })
    const title = `${clients} connections with ${streams} calls, messages of ${messageBytes} bytes, one core`
    await measure('grpc-unary', `gRPC unary, ${title}`, byUnary, options, 'call')
    const byStream = await contenders(bench, options, server, (port) => (seconds) => talk(port, seconds))
    await measure('grpc-streaming', `gRPC streaming, ${title}, one each way by turns`, byStream, options, 'message')
  })
}

async function contenders(
  bench: Bench,
  { only }: BenchOptions,
  upstream: number,
  load: (port: number) => Contender['load'],
): Promise<Contender[]> {
  const found: Contender[] = []
  for (const kind of chosen(['envoy', 'weft'], only)) {
    const listen = await freePort()
    const bootstrap = http2Bootstrap(listen, await freePort(), upstream, true)
    const process = await bench.proxy(kind, `${kind}-${upstream}`, bootstrap, listen)
    if (process === undefined) console.log(`${kind}: not present on this machine, left out`)
    else found.push({ name: kind, processes: [process], load: load(listen) })
  }
  return found
}

/** Messages that came back on calls that each have one under way. */
async function talk(port: number, seconds: number): Promise<Load> {
  const message = Buffer.alloc(messageBytes, 'x')
  const until = performance.now() + seconds * 1000
  let requests = 0
  let errors = 0
  const open = Array.from({ length: clients }, () => new ProbeClient(port))
  await Promise.all(
    open.flatMap((client) =>
      Array.from({ length: streams }, async () => {
        const call = client.chat((seconds + 30) * 1000)
        call.write(message)
        try {
          for await (const _answer of call) {
            requests++
            if (performance.now() < until) call.write(message)
            else call.end()
          }
        } catch {
          errors++
        }
      }),
    ),
  )
  for (const client of open) client.close()
  return { requests, seconds, errors, p99Ms: Number.NaN }
}
