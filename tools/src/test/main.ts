/**
 * `npm test`: everything that has to hold before a change lands, in one command: generated code, types, lint and
 * layers, all tests with the real peers that are found (Redis, Envoy), and the external cases where their folder is.
 * Ends with `N passed, N failed`.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { findCommand, installEnvoy } from '../peers.ts'

const root = join(import.meta.dirname, '../../..')
const bin = join(root, 'node_modules/.bin')

interface Count {
  passed: number
  failed: number
}

const total: Count = { passed: 0, failed: 0 }
const failures: string[] = []

function count(step: string, { passed, failed }: Count): void {
  total.passed += passed
  total.failed += failed
  if (failed > 0) failures.push(step)
}

async function run(command: string[], env: NodeJS.ProcessEnv, capture = false): Promise<{ code: number; output: string }> {
  const [file = '', ...args] = command
  const child = spawn(file, args, { cwd: root, env, stdio: ['ignore', capture ? 'pipe' : 'inherit', 'inherit'] })
  let output = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8')
    process.stdout.write(chunk)
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status ?? 1))
  })
  return { code, output }
}

async function step(name: string, command: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const started = performance.now()
  const { code } = await run(command, env)
  count(name, code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 })
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
}

async function tests(env: NodeJS.ProcessEnv): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-test-'))
  const report = join(folder, 'vitest.json')
  try {
    const reporters = ['dot', 'json', './tools/src/test/flaky-reporter.ts'].map((name) => `--reporter=${name}`)
    await run([join(bin, 'vitest'), 'run', ...reporters, `--outputFile.json=${report}`], env)
    const result = JSON.parse(await readFile(report, 'utf8')) as {
      numPassedTests: number
      numFailedTests: number
      numPendingTests: number
      testResults: { status: string; assertionResults: unknown[] }[]
    }
    const broken = result.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length
    count('tests', { passed: result.numPassedTests, failed: result.numFailedTests + broken })
    if (result.numPendingTests > 0) console.log(`${result.numPendingTests} tests skipped: their reasons are printed above`)
  } catch (error) {
    console.error(`the test run gave no report: ${String(error)}`)
    count('tests', { passed: 0, failed: 1 })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The suites of external cases that have to pass whole; others are listed by `npm run cases`. */
const suites = ['mixer-expressions', 'mixer-dictionary', 'mixer-attributes', 'mixer-list', 'mixer-quota']

async function cases(env: NodeJS.ProcessEnv): Promise<void> {
  if (!existsSync(join(root, '../shared/cases'))) return console.log('external cases: no ../shared/cases here, left out')
  const { code, output } = await run([process.execPath, join(root, 'tools/src/cases/main.ts'), ...suites], env, true)
  const sum: Count = { passed: 0, failed: 0 }
  for (const line of output.matchAll(/^\S+: (\d+) passed, (\d+) failed$/gm)) {
    sum.passed += Number(line[1])
    sum.failed += Number(line[2])
  }
  if (code !== 0 && sum.failed === 0) sum.failed = 1
  count('external cases', sum)
}

const env: NodeJS.ProcessEnv = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH']}`, NX_DAEMON: 'false' }
const envoy = installEnvoy()
if (envoy === undefined) console.log('real Envoy: not present and not to be installed here; tests beside it say so')
else env['WEFT_ENVOY'] = envoy
if (findCommand('redis-server') === undefined)
  console.log('redis-server: not present; tests with it say so (Debian: apt-get install redis-server)')

await step('generated code', [process.execPath, 'tools/src/generate/main.ts'], env)
await step('types', [join(bin, 'tsc'), '-p', 'tsconfig.json'], env)
await step('lint and layers', [join(bin, 'biome'), 'check', '--error-on-warnings', '.'], env)
await tests(env)
await cases(env)
if (failures.length > 0) console.log(`failed: ${failures.join(', ')}`)
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1
