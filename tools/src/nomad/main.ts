/** `node tools/src/nomad/main.ts [PORT]`: the stand-in for Nomad on loopback, until SIGTERM. */
import { NomadStandIn } from './stand-in.ts'

const nomad = new NomadStandIn()
await nomad.start(Number(process.argv[2] ?? 4646))
console.log(`the stand-in for Nomad listens at ${nomad.url}`)
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => void nomad.close().then(() => process.exit(0)))
}
