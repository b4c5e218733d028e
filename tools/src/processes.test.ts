import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { endingSignals } from '@weft/service/ending-signals'
import { describe, expect, it } from 'vitest'
import { exitCodeOf, until } from './processes.ts'

const module = JSON.stringify(new URL('processes.ts', import.meta.url).href)
/** Starts a shell that starts a child of its own, and prints the pids of both. */
const owner = `
import { start } from ${module}
const shell = start(['sh', '-c', 'sleep 600 & echo $!; wait'])
shell.child.stdout.once('data', (child) => console.log(shell.pid, Number(child)))`

describe('a process that starts others', () => {
  it.each([...endingSignals, 'a failure'] as const)('takes them and theirs with it: %s', { timeout: 30_000 }, async (how) => {
    const fails = how === 'a failure' ? "\nprocess.once('message', () => { throw new Error('as told') })" : ''
    const child = spawn(process.execPath, ['--input-type=module', '-e', owner + fails], {
      stdio: ['ignore', 'pipe', 'ignore', 'ipc'],
    })
    const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string]
    const pids = line.split(' ').map(Number)
    expect(pids.filter(isAlive)).toEqual(pids)
    if (how === 'a failure') child.send('fail')
    else child.kill(how)
    const [code] = (await once(child, 'exit')) as [number]
    expect(code).toBe(how === 'a failure' ? 1 : exitCodeOf(how))
    await until(() => !pids.some(isAlive), `${pids.join(' and ')} to be gone`)
  })
})

/** Whether it runs; one that has ended and was not waited for does not. */
function isAlive(pid: number): boolean {
  try {
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('Z')
  } catch {
    return false
  }
}
