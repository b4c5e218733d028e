import type { ApplyEvent, ApplyResponse } from '@weft/config/pilot-api'
import { describeProblem, type Problem } from '@weft/config/problem'
import { type ApplyAnswer, PilotClient, type PilotOptions } from '../clients/pilot.ts'
import { exitCodes } from '../exit-codes.ts'
import type { Terminal } from '../terminal.ts'
import { readInputFiles } from './input-files.ts'

export interface ApplyOptions extends PilotOptions {
  file: string[]
  dryRun: boolean
  wait: boolean
  timeout: number
}

/** `weft apply -f`: all or nothing; `--wait` returns when every proxy has acknowledged, or says which did not and why. */
export async function apply(options: ApplyOptions, terminal: Terminal): Promise<number> {
  const pilot = PilotClient.of(options)
  const files = await readInputFiles(options.file)
  let done: Extract<ApplyEvent, { type: 'done' }> | undefined
  let answer: ApplyAnswer
  if (options.wait && !options.dryRun) {
    answer = await pilot.applyAndWait(files, options.timeout, (event) => {
      if (event.type === 'applied') tellApplied(event, terminal)
      else if (event.type === 'progress') terminal.progress(`  ${event.acked} of ${event.total} proxies have acknowledged`)
      else if (event.type === 'nack') tellNack(event, terminal)
      else done = event
    })
  } else {
    answer = await pilot.apply(files, options.dryRun)
    if (answer.type === 'applied') tellApplied(answer.response, terminal)
  }
  if (answer.type === 'refused') {
    for (const problem of answer.refused.problems ?? []) tellProblem(problem, terminal)
    terminal.tell('nothing was applied')
    return exitCodes.refused
  }
  return done === undefined ? exitCodes.ok : tellDone(done, options.timeout, terminal)
}

function tellApplied({ results, problems, dryRun }: ApplyResponse, terminal: Terminal): void {
  for (const { object, action } of results) terminal.print(`${object} ${action}${dryRun ? ' (dry run)' : ''}`)
  for (const problem of problems) tellProblem(problem, terminal)
}

function tellProblem(problem: Problem, terminal: Terminal): void {
  const style = problem.severity === 'error' ? 'red' : 'yellow'
  terminal.tell(`${terminal.style(style, `${problem.severity}:`)} ${describeProblem(problem)}`)
}

function tellNack(nack: Extract<ApplyEvent, { type: 'nack' }>, terminal: Terminal): void {
  const [from] = nack.objects
  const place = from === undefined ? '' : ` (from ${from.object}, ${from.file}:${from.line})`
  terminal.tell(
    `${terminal.style('red', 'refused:')} ${nack.node} refused ${nack.resourceType} ${nack.resource}: ${nack.message}${place}`,
  )
}

function tellDone(done: Extract<ApplyEvent, { type: 'done' }>, timeoutS: number, terminal: Terminal): number {
  terminal.progress('')
  if (done.nacked.length === 0 && done.waiting.length === 0) {
    terminal.tell(`all ${done.total} proxies have acknowledged`)
    return exitCodes.ok
  }
  if (done.waiting.length > 0) terminal.tell(`no answer within ${timeoutS} s from ${done.waiting.join(', ')}`)
  return exitCodes.notAcknowledged
}
