import { MeshConfig } from '@weft/contracts/istio/mesh/v1alpha1/config'
import { WeftError } from '@weft/service/errors'
import { LineCounter, parseDocument } from 'yaml'
import { describeType, isRecord } from './document.ts'
import { readStrictly } from './strict.ts'

/**
 * Reads MeshConfig from its YAML, strictly. Throws `invalid_argument` with the first problem's line, and how many more
 * there are.
 */
export function readMeshConfig(text: string, file: string): MeshConfig {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true })
  const broken = document.errors[0]
  if (broken !== undefined) {
    throw new WeftError('invalid_argument', `broken YAML: ${broken.message}`, {
      where: { file, line: lines.linePos(broken.pos[0]).line },
    })
  }
  const value: unknown = document.toJS({ maxAliasCount: 100 }) ?? {}
  if (!isRecord(value)) {
    throw new WeftError('invalid_argument', `must be the fields of MeshConfig, not ${describeType(value)}`, {
      where: { file, line: 1 },
    })
  }
  const read = readStrictly('istio.mesh.v1alpha1.MeshConfig', value, '')
  if (read.bytes !== undefined) return MeshConfig.decode(read.bytes)
  const [{ path, message, hint } = { path: '', message: 'cannot be read', hint: undefined }, ...more] = read.problems
  const top = path.split(/[.[]/, 1)[0]!
  const line = text.split('\n').findIndex((content) => content.startsWith(`${top}:`)) + 1
  throw new WeftError('invalid_argument', more.length === 0 ? message : `${message}, and ${more.length} more problems`, {
    where: { file, ...(line > 0 ? { line } : {}), path },
    hint,
  })
}
