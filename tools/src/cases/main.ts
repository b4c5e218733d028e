import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect, parseArgs } from 'node:util'
import { type CaseResult, CasesAbsent, type Suite } from './suite.ts'
import { SUITES } from './suites/index.ts'

const REPOSITORY = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')
const DEFAULT_DIR = resolve(REPOSITORY, '../shared/cases')
const USAGE = `usage: npm run cases -- [SUITE…] [--dir DIR]
suites: ${Object.keys(SUITES).join(', ')}`

/** Runs the named suites, or all of them, and prints what failed. Gives the exit code. */
async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { dir: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const unknown = positionals.filter((name) => !Object.hasOwn(SUITES, name))
  if (unknown.length > 0) {
    console.error(`no suite is called ${unknown.join(', ')}\n${USAGE}`)
    return 2
  }
  const dir = values.dir === undefined ? DEFAULT_DIR : resolve(values.dir)
  if (!existsSync(dir)) {
    console.log(`no cases to run: ${dir} is not there (name another folder with --dir)`)
    return values.dir === undefined ? 0 : 2
  }
  let failed = 0
  for (const [name, suite] of Object.entries(SUITES)) {
    if (positionals.length === 0 || positionals.includes(name)) failed += await run(name, suite, dir)
  }
  return failed === 0 ? 0 : 1
}

/** Runs one suite and prints its line; gives the number of failures. */
async function run(name: string, suite: Suite, dir: string): Promise<number> {
  let results: CaseResult[]
  try {
    results = await suite(dir)
  } catch (thrown) {
    if (thrown instanceof CasesAbsent) {
      console.log(`${name}: skipped, ${thrown.message}`)
      return 0
    }
    console.log(`${name}: could not run: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    return 1
  }
  const failures = results.filter((result) => !result.passed)
  for (const failure of failures) {
    console.log(`FAILED ${name}: ${failure.name}\n  expected ${show(failure.expected)}\n  actual   ${show(failure.actual)}`)
  }
  console.log(`${name}: ${results.length - failures.length} passed, ${failures.length} failed`)
  return failures.length
}

function show(value: unknown): string {
  return inspect(value, { depth: 8, breakLength: 160, maxStringLength: 2000 }).replaceAll('\n', '\n           ')
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (thrown) {
  console.error(`${thrown instanceof Error ? thrown.message : String(thrown)}\n${USAGE}`)
  process.exitCode = 2
}
