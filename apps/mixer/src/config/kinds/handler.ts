import { parseDuration } from '@weft/attributes/duration'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import { type AdapterCatalogue, foreignAdapters, type LoadedAdapter } from '../../adapters/catalogue.ts'
import { protoMessage } from '../../adapters/fields.ts'
import type { OnError } from '../../dispatch/handler.ts'
import type { MixerObject, Report } from '../mixer-object.ts'
import { parseSpec, reportIssues } from '../parse-spec.ts'

/** A handler whose adapter accepts its parameters; not open yet. */
export interface HandlerSpec {
  /** `name.kind.namespace` */
  readonly name: string
  readonly adapterName: string
  readonly loaded: LoadedAdapter
  readonly params: unknown
  /** Where the parameters stand in the object. */
  readonly paramsPath: readonly string[]
  readonly onError: OnError
  readonly deadlineMs: number
  readonly object: MixerObject
}

const ON_ERROR_ANNOTATION = 'mesh.weft.dev/on-error'
const DEADLINE_ANNOTATION = 'mesh.weft.dev/deadline'
const DEFAULT_DEADLINE_MS = 500

const generic = protoMessage({
  adapter: z.string().optional(),
  compiledAdapter: z.string().optional(),
  params: z.unknown().optional(),
  connection: protoMessage({
    address: z.string().min(1),
    timeout: z.string().optional(),
    authentication: z.unknown().optional(),
  }).optional(),
})

/** Reads an object of kind `handler`, or of an adapter's own kind. Problems are reported, and give undefined. */
export async function readHandler(
  object: MixerObject,
  adapters: AdapterCatalogue,
  report: Report,
): Promise<HandlerSpec | undefined> {
  const written =
    object.kind === 'handler'
      ? readGeneric(object, adapters, report)
      : { adapterName: object.kind, params: object.spec, paramsPath: ['spec'] }
  const options = readAnnotations(object, report)
  if (written === undefined || options === undefined) return undefined
  const { adapterName, paramsPath } = written
  const params = written.params ?? {}
  try {
    const loaded = await adapters.load(adapterName)
    if (loaded === undefined) return undefined
    loaded.adapter.validate(params)
    return { name: object.fullName, adapterName, loaded, params, paramsPath, object, ...options }
  } catch (error) {
    if (error instanceof z.core.$ZodError) reportIssues(object, paramsPath, error, report)
    else report(object, ['spec'], `adapter '${adapterName}' cannot be used: ${WeftError.from(error).message}`)
    return undefined
  }
}

function readGeneric(object: MixerObject, adapters: AdapterCatalogue, report: Report) {
  const spec = parseSpec(object, generic, report)
  if (spec === undefined) return undefined
  const field = spec.compiledAdapter === undefined ? 'adapter' : 'compiledAdapter'
  const adapterName = spec.compiledAdapter ?? spec.adapter ?? ''
  if (spec.connection !== undefined) {
    report(
      object,
      ['spec', 'connection'],
      `adapter '${adapterName}' runs out of process at ${spec.connection.address}, and this Mixer calls adapters in its own process only`,
      'write it as a file for --adapter-dir, and name it as compiledAdapter',
    )
    return undefined
  }
  if (!adapters.has(adapterName)) {
    report(object, ['spec', field], adapterName === '' ? 'names no adapter' : noAdapter(adapterName), knownAdapters(adapters))
    return undefined
  }
  return { adapterName, params: spec.params, paramsPath: ['spec', 'params'] }
}

/** Why a name is no adapter's. */
export function noAdapter(name: string): string {
  return foreignAdapters.has(name) ? `adapter '${name}' of Istio is not part of this Mixer` : `there is no adapter '${name}'`
}

export function knownAdapters(adapters: AdapterCatalogue): string {
  return `there are ${adapters.names().join(', ')}; others are files in --adapter-dir`
}

function readAnnotations(object: MixerObject, report: Report): { onError: OnError; deadlineMs: number } | undefined {
  const { annotations } = object.raw.metadata
  const onError = annotations[ON_ERROR_ANNOTATION] ?? 'allow'
  const deadlineText = annotations[DEADLINE_ANNOTATION]
  const deadlineMs = deadlineText === undefined ? DEFAULT_DEADLINE_MS : parseDuration(deadlineText)?.milliseconds
  const path = ['metadata', 'annotations']
  if (onError !== 'allow' && onError !== 'deny')
    report(object, [...path, ON_ERROR_ANNOTATION], `must be allow or deny, not '${onError}'`)
  else if (deadlineMs === undefined || deadlineMs < 1 || deadlineMs > 60_000) {
    report(object, [...path, DEADLINE_ANNOTATION], `'${deadlineText}' is not a duration from 1ms to 1m`)
  } else return { onError, deadlineMs }
  return undefined
}
