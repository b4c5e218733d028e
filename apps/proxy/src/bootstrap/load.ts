import { readFileSync } from 'node:fs'
import { WeftError } from '@weft/service/errors'
import { decodeDocuments } from '../control/validation/decode.ts'
import { type ConfigDocument, parseConfigDocument } from './document.ts'

/** The message of a bootstrap. */
export const bootstrapType = 'envoy.config.bootstrap.v3.Bootstrap'

/** The largest bootstrap that is read. */
const mostBytes = 64 << 20

/**
 * Reads `-c FILE` and `--config-yaml`, merges the second over the first, and gives the checked bootstrap in binary.
 * Throws WeftError that names file, line and path of everything wrong; deprecations go to `warn`.
 */
export function loadBootstrap(
  configPath: string,
  configYaml: string,
  allowUnknownFields: boolean,
  warn: (text: string) => void,
): Uint8Array {
  const documents: ConfigDocument[] = []
  if (configPath !== '') documents.push(readConfigFile(configPath))
  if (configYaml !== '') documents.push(parseConfigDocument(configYaml))
  if (documents.length === 0)
    throw new WeftError('invalid_argument', 'at least one of --config-path (-c) and --config-yaml should be given')
  return decodeDocuments(bootstrapType, documents, { allowUnknownFields, warn })
}

/** A YAML or JSON file as a document. */
function readConfigFile(path: string): ConfigDocument {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw new WeftError('not_found', `cannot be read: ${WeftError.from(error).message}`, {
      where: { file: path },
      hint: 'check the path and its permissions',
      cause: error,
    })
  }
  if (bytes.length > mostBytes)
    throw new WeftError('resource_exhausted', `has ${bytes.length} bytes, more than ${mostBytes}`, { where: { file: path } })
  return parseConfigDocument(bytes.toString('utf8'), path)
}
