import type { DescMessage, JsonValue } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'

type Json = Record<string, JsonValue>
type Path = readonly string[]

/** The paths of a FieldMask (`a.b,c`). */
export function maskPaths(mask: string): Path[] {
  return mask
    .split(',')
    .map((path) =>
      path
        .trim()
        .split('.')
        .filter((part) => part !== ''),
    )
    .filter((path) => path.length > 0)
}

/**
 * What a FieldMask leaves of a message in JSON, which holds its type; types stay. Undefined where a path names no field of the
 * message: it goes through messages, not through lists, and into an Any only where that is a field of the message itself.
 */
export function applyMask(json: Json, paths: readonly Path[]): Json | undefined {
  return paths.every((path) => fits(json, path)) ? pick(json, paths) : undefined
}

function fits(json: Json, [first = '', ...rest]: Path): boolean {
  const field = typeOf(json)?.fields.find(({ name }) => name === first)
  if (field?.fieldKind !== 'message') return field !== undefined && rest.length === 0
  if (field.message.typeName !== 'google.protobuf.Any') return isPathOf(field.message, rest)
  const held = json[first]
  // What an Any holds is known where there is one.
  return rest.length === 0 || !isObject(held) || isPathOf(typeOf(held), rest)
}

function isPathOf(type: DescMessage | undefined, path: Path): boolean {
  let at = type
  for (const [i, part] of path.entries()) {
    const field = at?.fields.find(({ name }) => name === part)
    if (field === undefined) return false
    if (i < path.length - 1 && field.fieldKind !== 'message') return false
    at = field.fieldKind === 'message' ? field.message : undefined
  }
  return true
}

function typeOf(json: Json): DescMessage | undefined {
  return descriptors().getMessage(String(json['@type']).replace(/^.*\//, ''))
}

function pick(json: Json, paths: readonly Path[]): Json {
  const picked: Json = {}
  for (const [key, value] of Object.entries(json)) {
    if (key === '@type') {
      picked[key] = value
      continue
    }
    const own = paths.filter((path) => path[0] === key).map((path) => path.slice(1))
    if (own.length === 0) continue
    picked[key] = own.some((path) => path.length === 0) || !isObject(value) ? value : pick(value, own)
  }
  return picked
}

function isObject(value: JsonValue | undefined): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
