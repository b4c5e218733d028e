import { WeftError } from '@weft/service/errors'
import { exitCodes } from '../exit-codes.ts'
import { Kernel } from '../interception/kernel.ts'
import { type Family, interceptionRules, restoreText } from '../interception/rules.ts'
import { type InterceptionFlags, interceptionSettings } from '../interception/settings.ts'
import type { Terminal } from '../terminal.ts'

export interface IptablesOptions extends InterceptionFlags {
  networkNamespace: string | undefined
  undo: boolean
  dryRun: boolean
  runValidation: boolean
  skipRuleApply: boolean
}

/**
 * `weft iptables`: leads the connections of a network namespace to the proxy in it. Any number of times gives the same rules;
 * `--undo` takes them out again.
 */
export function iptables(options: IptablesOptions, terminal: Terminal): number {
  const settings = interceptionSettings(options)
  if (options.dryRun) {
    const families: Family[] = ['v4', 'v6']
    for (const family of families) {
      terminal.print(`# ${family === 'v4' ? 'iptables' : 'ip6tables'}-restore --noflush`)
      for (const table of interceptionRules(settings, family)) terminal.print(restoreText(table, '').trimEnd())
    }
    return exitCodes.ok
  }
  if (process.platform !== 'linux') throw new WeftError('failed_precondition', 'connections can be intercepted on Linux only')
  const kernel = new Kernel(options.networkNamespace)
  if (options.undo) {
    kernel.clean()
    return exitCodes.ok
  }
  if (!options.skipRuleApply) kernel.apply(settings)
  if (options.runValidation) kernel.verify(settings)
  return exitCodes.ok
}
