#!/usr/bin/env node
import { enableCompileCache } from 'node:module'

enableCompileCache()
const argv = process.argv.slice(2)
if (argv[0] !== undefined && ['proxy', 'wait', 'request'].includes(argv[0])) {
  // In a pod into which it was injected.
  const { runAgent } = await import('./agent/agent.ts')
  await runAgent(argv)
} else {
  const { run } = await import('./run.ts')
  await run(argv)
}
