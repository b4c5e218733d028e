#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import { restartLean, startLean } from '@weft/service/lean-memory'

const argv = process.argv.slice(2)
const asked = argv[0] === 'wait' || argv[0] === 'request'
// What stays for long is worth a restart; what only asks it is not.
if (!asked) restartLean()
startLean()
// A request runs through many small functions: more of them are compiled into those that call them (V8's own bounds: 920 and 460 bytes).
setFlagsFromString('--max-inlined-bytecode-size-cumulative=4000')
setFlagsFromString('--max-inlined-bytecode-size=1000')
await import('@weft/service/compile-cache')
if (asked || argv[0] === 'proxy') {
  // In a pod into which it was injected.
  const { runAgent } = await import('./agent/agent.ts')
  await runAgent(argv)
} else {
  const { run } = await import('./run.ts')
  await run(argv)
}
