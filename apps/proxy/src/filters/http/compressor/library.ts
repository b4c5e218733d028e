import type { Transform } from 'node:stream'
import { constants, createBrotliCompress, createGzip, createZstdCompress, type Zlib } from 'node:zlib'
import type { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { Brotli, Brotli_EncoderMode } from '@weft/contracts/envoy/extensions/compression/brotli/compressor/v3/brotli'
import {
  Gzip,
  Gzip_CompressionLevel,
  Gzip_CompressionStrategy,
} from '@weft/contracts/envoy/extensions/compression/gzip/compressor/v3/gzip'
import { Zstd } from '@weft/contracts/envoy/extensions/compression/zstd/compressor/v3/zstd'
import { readDataSource } from '../../../plan/data-source.ts'
import type { FilterContext } from '../filter.ts'

/** One of the ways to compress. */
export interface CompressorLibrary {
  /** The word in `content-encoding`. */
  readonly encoding: string
  readonly statName: string
  /** How it is flushed, so that what it has been given leaves it. */
  readonly flush: number
  /** A compressor for one body. */
  create(): Compressor
}

/** A stream of Node's that compresses. */
export type Compressor = Transform & Zlib

const prefix = 'envoy.extensions.compression.'

/** Compiles the library that a compressor names. */
export function compileLibrary(source: TypedExtensionConfig | undefined, context: FilterContext): CompressorLibrary {
  const config = source?.typedConfig
  const type = config?.typeUrl.split('/').pop() ?? ''
  if (config === undefined) return context.fail('compressor_library', 'must be set')
  switch (type) {
    case `${prefix}gzip.compressor.v3.Gzip`:
      return gzip(Gzip.decode(config.value))
    case `${prefix}brotli.compressor.v3.Brotli`:
      return brotli(Brotli.decode(config.value))
    case `${prefix}zstd.compressor.v3.Zstd`:
      return zstd(Zstd.decode(config.value), context)
    default:
      return context.fail('compressor_library.typed_config', `compressor library '${type}' is not supported by this proxy`)
  }
}

const strategies: Readonly<Record<number, number>> = {
  [Gzip_CompressionStrategy.FILTERED]: constants.Z_FILTERED,
  [Gzip_CompressionStrategy.HUFFMAN_ONLY]: constants.Z_HUFFMAN_ONLY,
  [Gzip_CompressionStrategy.RLE]: constants.Z_RLE,
  [Gzip_CompressionStrategy.FIXED]: constants.Z_FIXED,
}

function gzip(source: Gzip): CompressorLibrary {
  const { compressionLevel } = source
  const options = {
    level: compressionLevel === Gzip_CompressionLevel.DEFAULT_COMPRESSION ? constants.Z_DEFAULT_COMPRESSION : compressionLevel,
    strategy: strategies[source.compressionStrategy] ?? constants.Z_DEFAULT_STRATEGY,
    memLevel: source.memoryLevel ?? 5,
    windowBits: source.windowBits ?? 12,
    chunkSize: source.chunkSize ?? 4096,
  }
  return { encoding: 'gzip', statName: 'gzip', flush: constants.Z_SYNC_FLUSH, create: () => createGzip(options) }
}

const modes: Readonly<Record<number, number>> = {
  [Brotli_EncoderMode.GENERIC]: constants.BROTLI_MODE_GENERIC,
  [Brotli_EncoderMode.TEXT]: constants.BROTLI_MODE_TEXT,
  [Brotli_EncoderMode.FONT]: constants.BROTLI_MODE_FONT,
}

function brotli(source: Brotli): CompressorLibrary {
  const options = {
    chunkSize: source.chunkSize ?? 4096,
    params: {
      [constants.BROTLI_PARAM_QUALITY]: source.quality ?? 3,
      [constants.BROTLI_PARAM_MODE]: modes[source.encoderMode] ?? constants.BROTLI_DEFAULT_MODE,
      [constants.BROTLI_PARAM_LGWIN]: source.windowBits ?? 18,
      [constants.BROTLI_PARAM_LGBLOCK]: source.inputBlockBits ?? 24,
      [constants.BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING]: source.disableLiteralContextModeling,
    },
  }
  return {
    encoding: 'br',
    statName: 'brotli',
    flush: constants.BROTLI_OPERATION_FLUSH,
    create: () => createBrotliCompress(options),
  }
}

function zstd(source: Zstd, context: FilterContext): CompressorLibrary {
  const dictionary =
    source.dictionary === undefined
      ? undefined
      : readDataSource(source.dictionary, `${context.path}.compressor_library.dictionary`)
  const options = {
    chunkSize: source.chunkSize ?? 4096,
    params: {
      [constants.ZSTD_c_compressionLevel]: source.compressionLevel ?? 3,
      [constants.ZSTD_c_checksumFlag]: source.enableChecksum ? 1 : 0,
      ...(source.strategy === 0 ? {} : { [constants.ZSTD_c_strategy]: source.strategy }),
    },
    ...(dictionary === undefined ? {} : { dictionary }),
  }
  return { encoding: 'zstd', statName: 'zstd', flush: constants.ZSTD_e_flush, create: () => createZstdCompress(options) }
}
