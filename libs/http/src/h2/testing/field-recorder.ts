import { HeaderTable } from '../../header-table.ts'
import type { FieldReceiver } from '../hpack/decoder.ts'
import { fieldKind } from '../hpack/field-kind.ts'

const pseudoNames = new Map<number, string>([
  [fieldKind.method, ':method'],
  [fieldKind.scheme, ':scheme'],
  [fieldKind.authority, ':authority'],
  [fieldKind.path, ':path'],
  [fieldKind.protocol, ':protocol'],
  [fieldKind.status, ':status'],
])

/** Notes a block's fields as `name: value` lines, in order. */
export class FieldRecorder implements FieldReceiver {
  readonly table = new HeaderTable()
  readonly full = false
  private special: string[] = []
  /** Kinds of fields that no message may have. */
  refused: number[] = []

  onSpecial(kind: number, value: string): void {
    const name = pseudoNames.get(kind)
    if (name === undefined) this.refused.push(kind)
    else this.special.push(`${name}: ${value}`)
  }

  onField(): boolean {
    return true
  }

  /** All fields since the last call: pseudo-headers first. */
  take(): string[] {
    const lines = this.special
    this.table.forEach((name, value) => {
      lines.push(`${name}: ${value}`)
    })
    this.special = []
    this.refused = []
    this.table.clear()
    return lines
  }
}
