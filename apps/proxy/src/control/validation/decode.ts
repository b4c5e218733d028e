import {
  type DescMessage,
  fromBinary,
  fromJson,
  type Message,
  mergeFromBinary,
  type Registry,
  toBinary,
} from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import { WeftError } from '@weft/service/errors'
import type { ConfigDocument } from '../../bootstrap/document.ts'
import { canonicalJson } from './canonical-json.ts'
import { createInspector, type Findings } from './inspect.ts'
import { checkJsonShape } from './json-shape.ts'
import { describeProblems, formatPath, type Problem } from './problem.ts'
import { expandTypedStructs } from './typed-struct.ts'

/** By the descriptors that each goes by: those may be forgotten and made anew. */
const inspectors = new WeakMap<Registry, ReturnType<typeof createInspector>>()

/** The descriptor of a message of the contracts; throws for a name that is none. */
export function messageType(name: string): DescMessage {
  const type = descriptors().getMessage(name)
  if (type === undefined) throw new WeftError('internal', `no message type ${name}`)
  return type
}

/** A resource in binary with what TypedStructs in it hold in their places, as far as that is possible. */
export function expandResource(typeName: string, bytes: Uint8Array): Uint8Array {
  return expandTypedStructs(descriptors, typeName, bytes)
}

/** Everything that refuses a message, or is worth telling about it. */
export function inspect(type: DescMessage, message: Message): Findings {
  const registry = descriptors()
  const inspector = inspectors.get(registry) ?? createInspector(registry)
  inspectors.set(registry, inspector)
  return inspector(type, message)
}

export interface DecodeOptions {
  /** Fields that the API does not have are told as warnings and dropped. */
  allowUnknownFields?: boolean
  /** Gets what is no error, one line each. */
  warn?: (text: string) => void
}

/**
 * A message read from documents: the second is merged over the first as protobuf merges (lists are appended), and so on.
 * Throws WeftError that names every problem with its file, line and path. Warnings go to `warn`, one line each.
 */
export function decodeDocuments(typeName: string, documents: readonly ConfigDocument[], options: DecodeOptions = {}): Uint8Array {
  const { allowUnknownFields = false, warn = () => undefined } = options
  const type = messageType(typeName)
  let merged: Message | undefined
  for (const document of documents) {
    const place = (problem: Problem): string => placeIn(document, problem)
    const json = canonicalJson(descriptors(), type, document.json)
    const shape = checkJsonShape(descriptors(), type, json)
    const problems = allowUnknownFields ? shape.filter((problem) => problem.unknownField !== true) : shape
    for (const problem of shape) if (!problems.includes(problem)) warn(`${place(problem)}: ${problem.message}`)
    if (problems.length > 0) throw new WeftError('invalid_argument', describeProblems(problems, place))
    let message: Message
    try {
      message = fromJson(type, json, { registry: descriptors(), ignoreUnknownFields: allowUnknownFields })
    } catch (error) {
      throw new WeftError('invalid_argument', error instanceof Error ? error.message : String(error), {
        where: document.file === undefined ? undefined : { file: document.file },
        cause: error,
      })
    }
    if (merged === undefined) merged = message
    else mergeFromBinary(type, merged, toBinary(type, message))
  }
  merged ??= fromBinary(type, new Uint8Array())
  const given = toBinary(type, merged)
  const bytes = expandTypedStructs(descriptors, typeName, given)
  if (bytes !== given) merged = fromBinary(type, bytes)
  const first = documents[0]
  const place = (problem: Problem): string => (first === undefined ? formatPath(problem.path) : placeIn(first, problem))
  const { problems, warnings } = inspect(type, merged)
  for (const warning of warnings) warn(`${place(warning)}: ${warning.message}`)
  if (problems.length > 0) throw new WeftError('invalid_argument', describeProblems(problems, place))
  return bytes
}

/**
 * Checks a message in binary; throws WeftError with every problem and its path. `onBroken` hears when one of them is that the
 * message itself breaks the API's own constraints (or is none): what its extensions hold is not counted, nor what this proxy lacks.
 */
export function inspectBinary(typeName: string, bytes: Uint8Array, onBroken: () => void = () => undefined): Findings {
  const type = messageType(typeName)
  let message: Message
  try {
    message = fromBinary(type, bytes)
  } catch (error) {
    onBroken()
    throw new WeftError('invalid_argument', `is not a ${typeName}: ${error instanceof Error ? error.message : String(error)}`)
  }
  const findings = inspect(type, message)
  const { problems } = findings
  if (problems.some(({ unsupported, inAny }) => unsupported !== true && inAny !== true)) onBroken()
  if (problems.length > 0) throw new WeftError('invalid_argument', describeProblems(problems))
  return findings
}

function placeIn(document: ConfigDocument, problem: Problem): string {
  const line = document.lineOf(problem.path)
  const path = formatPath(problem.path)
  const file = document.file === undefined ? (line === undefined ? '' : `line ${line}`) : `${document.file}:${line ?? 1}`
  return [file, path].filter((part) => part !== '').join(': ')
}
