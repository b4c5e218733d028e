import type { Transform } from 'node:stream'
import { constants, createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib'
import type { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { Brotli } from '@weft/contracts/envoy/extensions/compression/brotli/decompressor/v3/brotli'
import { Gzip } from '@weft/contracts/envoy/extensions/compression/gzip/decompressor/v3/gzip'
import { Zstd } from '@weft/contracts/envoy/extensions/compression/zstd/decompressor/v3/zstd'
import { readDataSource } from '../../../plan/data-source.ts'
import type { FilterContext } from '../filter.ts'

/** How many times larger a piece may become; Envoy's, against bombs. */
const defaultMaxRatio = 100
/** Zstandard packs what repeats itself much tighter; Envoy has no limit there. */
const maxZstdRatio = 1000
const defaultChunkBytes = 4096

/** One of the ways to decompress. */
export interface DecompressorLibrary {
  /** The word in `content-encoding`. */
  readonly encoding: string
  readonly statName: string
  /** How many times larger a piece of a body may become. */
  readonly maxRatio: number
  /** Counters of what can go wrong. */
  readonly failures: readonly string[]
  /** The one that a failure counts in; `code`: Node's (`Z_DATA_ERROR`), null: a piece has become too large. */
  failureOf(code: string | null): string
  /** A decompressor for one body. A body that is cut off gives what it holds. */
  create(): Transform
}

const prefix = 'envoy.extensions.compression.'

/** Compiles the library that a decompressor names. */
export function compileLibrary(source: TypedExtensionConfig | undefined, context: FilterContext): DecompressorLibrary {
  const config = source?.typedConfig
  const type = config?.typeUrl.split('/').pop() ?? ''
  if (config === undefined) return context.fail('decompressor_library', 'must be set')
  switch (type) {
    case `${prefix}gzip.decompressor.v3.Gzip`:
      return gzip(Gzip.decode(config.value))
    case `${prefix}brotli.decompressor.v3.Brotli`:
      return brotli(Brotli.decode(config.value))
    case `${prefix}zstd.decompressor.v3.Zstd`:
      return zstd(Zstd.decode(config.value), context)
    default:
      return context.fail('decompressor_library.typed_config', `decompressor library '${type}' is not supported by this proxy`)
  }
}

const zlibFailures: Readonly<Record<string, string>> = {
  Z_ERRNO: 'zlib_errno',
  Z_STREAM_ERROR: 'zlib_stream_error',
  Z_DATA_ERROR: 'zlib_data_error',
  Z_MEM_ERROR: 'zlib_mem_error',
  Z_BUF_ERROR: 'zlib_buf_error',
  Z_VERSION_ERROR: 'zlib_version_error',
}

function gzip(source: Gzip): DecompressorLibrary {
  const options = {
    windowBits: source.windowBits ?? 15,
    chunkSize: source.chunkSize ?? defaultChunkBytes,
    finishFlush: constants.Z_SYNC_FLUSH,
  }
  return {
    encoding: 'gzip',
    statName: 'gzip',
    maxRatio: source.maxInflateRatio ?? defaultMaxRatio,
    failures: Object.values(zlibFailures),
    failureOf: (code) => zlibFailures[code ?? ''] ?? 'zlib_data_error',
    create: () => createGunzip(options),
  }
}

function brotli(source: Brotli): DecompressorLibrary {
  const options = {
    chunkSize: source.chunkSize ?? defaultChunkBytes,
    finishFlush: constants.BROTLI_OPERATION_FLUSH,
    params: {
      [constants.BROTLI_DECODER_PARAM_DISABLE_RING_BUFFER_REALLOCATION]: source.disableRingBufferReallocation,
    },
  }
  return {
    encoding: 'br',
    statName: 'brotli',
    maxRatio: defaultMaxRatio,
    failures: ['brotli_error', 'brotli_output_overflow', 'brotli_redundant_input'],
    failureOf: () => 'brotli_error',
    create: () => createBrotliDecompress(options),
  }
}

const zstdFailures: Readonly<Record<string, string>> = {
  ZSTD_error_checksum_wrong: 'zstd_checksum_wrong_error',
  ZSTD_error_dictionary_wrong: 'zstd_dictionary_error',
  ZSTD_error_memory_allocation: 'zstd_memory_error',
}

function zstd(source: Zstd, context: FilterContext): DecompressorLibrary {
  const [dictionary, ...more] = source.dictionaries.map((one, i) =>
    readDataSource(one, `${context.path}.decompressor_library.dictionaries[${i}]`),
  )
  if (more.length > 0)
    return context.fail('decompressor_library.dictionaries', 'more than one dictionary is not supported by this proxy')
  const options = {
    chunkSize: source.chunkSize ?? defaultChunkBytes,
    finishFlush: constants.ZSTD_e_flush,
    ...(dictionary === undefined ? {} : { dictionary }),
  }
  return {
    encoding: 'zstd',
    statName: 'zstd',
    maxRatio: maxZstdRatio,
    failures: ['zstd_generic_error', 'zstd_checksum_wrong_error', 'zstd_dictionary_error', 'zstd_memory_error'],
    failureOf: (code) => zstdFailures[code ?? ''] ?? 'zstd_generic_error',
    create: () => createZstdDecompress(options),
  }
}
