/** What one case of a suite came to. */
export interface CaseResult {
  name: string
  passed: boolean
  /** What the case file asks for and what came out; printed when the case failed. */
  expected: unknown
  actual: unknown
}

/**
 * Plays the cases of one kind found in `dir` (laid out as `../shared/cases`). Throws {@link CasesAbsent}
 * where the folder lacks this suite's file.
 */
export type Suite = (dir: string) => CaseResult[] | Promise<CaseResult[]>

/** A suite's file or folder is not there: no failure, but said aloud. */
export class CasesAbsent extends Error {}
