import { WeftError } from '@weft/service/errors'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { PilotClient, type PilotOptions } from '../clients/pilot.ts'
import { exitCodes } from '../exit-codes.ts'
import type { Terminal } from '../terminal.ts'
import { readInputFiles } from './input-files.ts'
import { kindOf } from './kinds.ts'

export interface DeleteOptions extends PilotOptions {
  namespace: string
  file: string[]
}

interface Target {
  kind: string
  namespace: string
  name: string
}

/** `weft delete KIND NAME` or `-f FILE`: takes objects away; every one is tried, and the first problem is told at the end. */
export async function remove(
  kind: string | undefined,
  name: string | undefined,
  options: DeleteOptions,
  terminal: Terminal,
): Promise<number> {
  const targets = options.file.length > 0 ? await targetsOf(options) : named(kind, name, options.namespace)
  const pilot = PilotClient.of(options)
  let problem: unknown
  for (const target of targets) {
    try {
      await pilot.remove(target.kind, target.namespace, target.name)
      terminal.print(`${target.kind}/${target.namespace}/${target.name} deleted`)
    } catch (error) {
      problem ??= error
    }
  }
  if (problem !== undefined) throw problem
  return exitCodes.ok
}

function named(kind: string | undefined, name: string | undefined, namespace: string): Target[] {
  if (kind !== undefined && name !== undefined) return [{ kind: kindOf(kind), namespace, name }]
  throw new WeftError('invalid_argument', 'nothing to delete was named', {
    hint: 'weft delete KIND NAME, or weft delete -f FILE',
  })
}

const objectSchema = z.object({ kind: z.string(), metadata: z.object({ name: z.string(), namespace: z.string().optional() }) })

async function targetsOf(options: DeleteOptions): Promise<Target[]> {
  const targets: Target[] = []
  for (const { name: file, content } of await readInputFiles(options.file)) {
    for (const document of parseAllDocuments(content)) {
      const [broken] = document.errors
      if (broken !== undefined) {
        const line = content.slice(0, broken.pos[0]).split('\n').length
        throw new WeftError('invalid_argument', `not YAML: ${broken.message.split('\n')[0]}`, { where: { file, line } })
      }
      const object = objectSchema.safeParse(document.toJS({ maxAliasCount: 100 })).data
      if (object === undefined) continue
      targets.push({ kind: object.kind, namespace: object.metadata.namespace ?? options.namespace, name: object.metadata.name })
    }
  }
  return targets
}
