import type { CaseResult } from '../../suite.ts'
import { certificateCases } from './certificates.ts'
import { forwardedCases } from './forwarded.ts'
import { issuingCases } from './issuing.ts'
import { rotationCases } from './rotation.ts'
import { spiffeCases } from './spiffe.ts'
import { tokenCases } from './tokens.ts'

/** Identities, certificates, rotation times and tokens: the tables of Istio's own tests that concern them. */
export async function citadel(dir: string): Promise<CaseResult[]> {
  return [
    ...(await spiffeCases(dir)),
    ...(await certificateCases(dir)),
    ...(await issuingCases(dir)),
    ...rotationCases(dir),
    ...tokenCases(dir),
    ...forwardedCases(dir),
  ]
}
