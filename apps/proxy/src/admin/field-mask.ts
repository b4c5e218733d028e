import type { JsonValue } from '@bufbuild/protobuf'

type Json = Record<string, JsonValue>

/** What a FieldMask (`a.b,c`) leaves of a message in JSON; a path goes through lists, and types always stay. */
export function applyMask(json: Json, mask: string): Json {
  const paths = mask
    .split(',')
    .map((path) =>
      path
        .trim()
        .split('.')
        .filter((part) => part !== ''),
    )
    .filter((path) => path.length > 0)
  return pick(json, paths)
}

function pick(json: Json, paths: readonly (readonly string[])[]): Json {
  const picked: Json = {}
  for (const [key, value] of Object.entries(json)) {
    if (key === '@type') {
      picked[key] = value
      continue
    }
    const own = paths.filter((path) => path[0] === key || path[0] === '*').map((path) => path.slice(1))
    if (own.length === 0) continue
    picked[key] = own.some((path) => path.length === 0) ? value : pickValue(value, own)
  }
  return picked
}

function pickValue(value: JsonValue, paths: readonly (readonly string[])[]): JsonValue {
  if (Array.isArray(value)) return value.map((item) => pickValue(item, paths))
  return typeof value === 'object' && value !== null ? pick(value, paths) : value
}
