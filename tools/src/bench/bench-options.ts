/** How a benchmark is to be run. */
export interface BenchOptions {
  rounds: number
  seconds: number
  only: string[]
  /** How many, for a benchmark that goes by requests. */
  requests: number
}
