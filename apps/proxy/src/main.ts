#!/usr/bin/env node
import { restartLean, startLean } from '@weft/service/lean-memory'

const argv = process.argv.slice(2)
const asked = argv[0] === 'wait' || argv[0] === 'request'
// What stays for long is worth a restart; what only asks it is not.
if (!asked) restartLean()
startLean()
await import('@weft/service/compile-cache')
if (asked || argv[0] === 'proxy') {
  // In a pod into which it was injected.
  const { runAgent } = await import('./agent/agent.ts')
  await runAgent(argv)
} else {
  const { run } = await import('./run.ts')
  await run(argv)
}
