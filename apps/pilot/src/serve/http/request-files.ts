import { WeftError } from '@weft/service/errors'
import { z } from 'zod'

const filesSchema = z.object({
  files: z
    .array(z.object({ name: z.string().min(1).max(4096), content: z.string() }))
    .min(1)
    .max(1_000),
})

/**
 * The files of an apply: ApplyRequest where the body is one (so that problems name the sender's own files), else the
 * body itself as YAML or JSON.
 */
export function requestFiles(body: unknown, name = '<request>'): { name: string; content: string }[] {
  if (typeof body !== 'string' || body.trim() === '') {
    throw new WeftError('invalid_argument', 'the request has no body', { hint: 'send objects as YAML or JSON' })
  }
  if (body.trimStart().startsWith('{')) {
    const parsed = filesSchema.safeParse(parseJson(body))
    if (parsed.success) return parsed.data.files
  }
  return [{ name, content: body }]
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON, though it looked like it: the YAML reader tells what is wrong, and where.
    return undefined
  }
}
