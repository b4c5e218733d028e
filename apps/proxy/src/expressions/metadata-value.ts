import { CelMessage, fromJson } from '@weft/expressions/cel/values'

/** Metadata as expressions see it (`metadata.filter_metadata['a.filter'].key`), and as text: protobuf's, on one line. */
export class MetadataValue extends CelMessage {
  readonly #filterMetadata: Readonly<Record<string, unknown>>

  constructor(filterMetadata: Readonly<Record<string, unknown>>) {
    const fields = new Map([['filter_metadata', fromJson(filterMetadata)]])
    super(
      (key) => (typeof key === 'string' ? fields.get(key) : undefined),
      () => [...fields.keys()],
    )
    this.#filterMetadata = filterMetadata
  }

  get text(): string {
    return sorted(this.#filterMetadata)
      .map(([key, value]) => `filter_metadata { key: ${quoted(key)} value { ${structText(value)}} } `)
      .join('')
  }
}

/** The fields of a google.protobuf.Struct. */
function structText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return ''
  return sorted(value)
    .map(([key, field]) => `fields { key: ${quoted(key)} value { ${valueText(field)}} } `)
    .join('')
}

/** A google.protobuf.Value. */
function valueText(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `string_value: ${quoted(value)} `
    case 'number':
      return `number_value: ${value} `
    case 'boolean':
      return `bool_value: ${value} `
    default:
      if (value === null || value === undefined) return 'null_value: NULL_VALUE '
      if (Array.isArray(value)) return `list_value { ${value.map((item) => `values { ${valueText(item)}} `).join('')}} `
      return `struct_value { ${structText(value)}} `
  }
}

function sorted(value: object): [string, unknown][] {
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Bytes as C has them: what is no printable character of ASCII in octal. */
function quoted(text: string): string {
  let out = ''
  for (const byte of Buffer.from(text)) {
    const sign = String.fromCharCode(byte)
    if (byte < 0x20 || byte > 0x7e) out += escapes[sign] ?? `\\${byte.toString(8).padStart(3, '0')}`
    else out += sign === '"' || sign === "'" || sign === '\\' ? `\\${sign}` : sign
  }
  return `"${out}"`
}

const escapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }
