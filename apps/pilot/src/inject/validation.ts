import { customResourceOf } from '@weft/config/custom-resources/kinds'
import { isRecord } from '@weft/config/document'
import { describeProblem, type Problem } from '@weft/config/problem'
import { readApiObject } from '@weft/kubernetes/resource'
import { readStoredObject } from '../sources/kubernetes/stored-object.ts'
import { type AdmissionAnswer, readReview } from './admission.ts'

/** Most problems that are told; kubectl shows each on a line. */
const maxTold = 10

/**
 * Answers an AdmissionReview for an object of configuration: refused with all that is wrong with it by the rules that files are
 * read by, or let through, with warnings. Kinds that are none of ours, and objects that go, are let through. Throws
 * `invalid_argument` for what is no AdmissionReview.
 */
export function answerValidation(body: unknown): AdmissionAnswer {
  const { apiVersion, kind, request } = readReview(body)
  const problems = request.operation === 'DELETE' || request.subResource ? [] : problemsOf(request.object)
  const errors = problems.filter(({ severity }) => severity === 'error').slice(0, maxTold)
  const warnings = problems.filter(({ severity }) => severity === 'warning').slice(0, maxTold)
  const status = { code: 422, message: errors.map(describe).join('; ') }
  return {
    apiVersion,
    kind,
    response: {
      uid: request.uid,
      allowed: errors.length === 0,
      ...(errors.length === 0 ? {} : { status }),
      ...(warnings.length === 0 ? {} : { warnings: warnings.map(describe) }),
    },
  }
}

function problemsOf(value: unknown): readonly Problem[] {
  if (!isRecord(value)) return []
  const { apiVersion, kind } = value
  const object = readApiObject(value)
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || object === undefined) return []
  const resource = customResourceOf(apiVersion, kind)
  return resource === undefined ? [] : readStoredObject(object, { apiVersion, kind, plural: resource.plural }).reading.problems
}

/** The API server says itself which object it is about. */
function describe(problem: Problem): string {
  return describeProblem(problem).replace(`${problem.file}:${problem.line}: `, '')
}
