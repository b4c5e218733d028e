import { readFileSync } from 'node:fs'
import type { DataSource } from '@weft/contracts/envoy/config/core/v3/base'
import { WeftError } from '@weft/service/errors'

/** The largest certificate, key or other file that a configuration may name. */
const mostBytes = 16 << 20

/** The content that a DataSource stands for. Throws WeftError with the file or variable that cannot be read. */
export function readDataSource(source: DataSource, what: string): Buffer {
  const specifier = source.specifier
  switch (specifier?.$case) {
    case 'inlineBytes':
      return Buffer.from(specifier.value)
    case 'inlineString':
      return Buffer.from(specifier.value)
    case 'environmentVariable': {
      const value = process.env[specifier.value]
      if (value === undefined) throw new WeftError('not_found', `${what}: the environment has no variable ${specifier.value}`)
      return Buffer.from(value)
    }
    case 'filename':
      return readFile(specifier.value, what)
    case undefined:
      return Buffer.alloc(0)
  }
}

function readFile(path: string, what: string): Buffer {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw new WeftError('not_found', `${what} cannot be read: ${WeftError.from(error).message}`, { where: { file: path } })
  }
  if (bytes.length > mostBytes)
    throw new WeftError('resource_exhausted', `${what} has ${bytes.length} bytes, more than ${mostBytes}`, {
      where: { file: path },
    })
  return bytes
}
