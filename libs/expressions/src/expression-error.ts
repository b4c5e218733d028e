import { WeftError } from '@weft/service/errors'

/** What is wrong with an expression, and where in its text: `where.path` is `line:column`, both from 1. */
export function syntaxError(text: string, offset: number, problem: string): WeftError {
  const position = positionOf(text, offset)
  return new WeftError('invalid_argument', `unable to parse expression '${abbreviate(text)}': ${position}: ${problem}`, {
    where: { path: position },
  })
}

/** An expression that reads well but does not fit the manifest or the functions. */
export function typeError(text: string, offset: number, problem: string): WeftError {
  return new WeftError('invalid_argument', problem, { where: { path: positionOf(text, offset) } })
}

/** A value that an expression came upon and could not use; the request's own, so no position helps. */
export function evaluationError(problem: string): WeftError {
  return new WeftError('invalid_argument', problem)
}

function positionOf(text: string, offset: number): string {
  const before = text.slice(0, offset)
  const line = before.split('\n').length
  return `${line}:${offset - before.lastIndexOf('\n')}`
}

function abbreviate(text: string): string {
  return text.length <= 1000 ? text : `${text.slice(0, 1000)}…`
}
