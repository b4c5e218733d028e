import { execFileSync } from 'node:child_process'
import type { Scenario } from '../scenario.ts'

/** Where the cluster's services and pods are: Kubernetes takes no loopback addresses, so these are given to the loopback device. */
export const serviceRange = '10.213.0.0/17'
export const podAddress = (number: number): string => `10.213.128.${number}`
const own = '10.213.0.1/16'

/** Makes all of 10.213.0.0/16 addresses of this machine until the scenario ends; false where that is not allowed. */
export function giveAddresses(scenario: Scenario): boolean {
  try {
    execFileSync('ip', ['address', 'add', own, 'dev', 'lo'], { stdio: 'pipe' })
  } catch (error) {
    if (!(error instanceof Error) || !/File exists|already assigned/.test(error.message)) return false
  }
  scenario.cleanup(() => {
    execFileSync('ip', ['address', 'del', own, 'dev', 'lo'], { stdio: 'ignore' })
  })
  return true
}
