import { readFileSync } from 'node:fs'
import type { DataSource } from '@weft/contracts/envoy/config/core/v3/base'
import { invalid } from './problems.ts'

/** The bytes of a DataSource; throws when it names a file that can't be read or a variable that is not set. */
export function readDataSource(source: DataSource | undefined, path: string): Buffer {
  const specifier = source?.specifier
  if (specifier === undefined) throw invalid(path, 'one of filename, inline_bytes, inline_string, environment_variable is needed')
  switch (specifier.$case) {
    case 'filename':
      try {
        return readFileSync(specifier.value)
      } catch (error) {
        throw invalid(
          `${path}.filename`,
          `can't read '${specifier.value}': ${error instanceof Error ? error.message : String(error)}`,
        )
      }
    case 'inlineBytes':
      return Buffer.from(specifier.value)
    case 'inlineString':
      return Buffer.from(specifier.value)
    case 'environmentVariable': {
      const value = process.env[specifier.value]
      if (value === undefined) throw invalid(`${path}.environment_variable`, `'${specifier.value}' is not set`)
      return Buffer.from(value)
    }
  }
}
