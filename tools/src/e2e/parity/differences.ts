import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { aspects, type Observation } from './subject.ts'

const page = join(import.meta.dirname, '../../../../docs/envoy-compatibility.md')

/** Lines that only one side has, Envoy's with a minus and ours with a plus, by aspect. */
export function differences(envoy: Observation, weft: Observation): string[] {
  return aspects.flatMap((aspect) => {
    const ours = countLines(weft[aspect])
    const theirs = countLines(envoy[aspect])
    const lines: string[] = []
    for (const [line, count] of theirs) if ((ours.get(line) ?? 0) < count) lines.push(`${aspect}: - ${line}`)
    for (const [line, count] of ours) if ((theirs.get(line) ?? 0) < count) lines.push(`${aspect}: + ${line}`)
    if (lines.length === 0 && envoy[aspect].join('\n') !== weft[aspect].join('\n'))
      lines.push(`${aspect}: the same in another order`)
    return lines
  })
}

function countLines(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1)
  return counts
}

/** Cases whose difference the compatibility page gives a reason for: rows `| \`group/case\` | what | why |` there. */
export function explainedDifferences(): Map<string, string> {
  const explained = new Map<string, string>()
  for (const match of readFileSync(page, 'utf8').matchAll(/^\| `([a-z0-9-]+\/[a-z0-9-]+)` \|([^|]*)\|([^|]*)\|$/gm)) {
    const [, name = '', what = '', reason = ''] = match
    if (reason.trim() !== '') explained.set(name, `${what.trim()}: ${reason.trim()}`)
  }
  return explained
}
