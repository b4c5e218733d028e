import { injectDocuments } from '@weft/inject/documents'
import { exitCodes } from '../exit-codes.ts'
import { readSettings, type SettingsOptions } from '../kubernetes/settings.ts'
import type { Terminal } from '../terminal.ts'
import { readInputFiles } from './input-files.ts'

export interface InjectOptions extends SettingsOptions {
  file: string[]
}

/** `weft inject -f`: the files with sidecars in their workloads, on standard output; what was left alone is told beside. */
export async function inject(options: InjectOptions, terminal: Terminal): Promise<number> {
  const settings = await readSettings(options)
  const texts: string[] = []
  for (const { name, content } of await readInputFiles(options.file)) {
    const { text, skipped } = injectDocuments(content, name, settings)
    for (const reason of skipped) terminal.tell(`${terminal.style('yellow', 'skipped:')} ${name}: ${reason}`)
    texts.push(text.trimEnd())
  }
  terminal.print(texts.join('\n---\n'))
  return exitCodes.ok
}
