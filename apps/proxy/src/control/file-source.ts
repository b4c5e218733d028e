import { type FSWatcher, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, extname } from 'node:path'
import { fromJson, toBinary } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import { DiscoveryResponse } from '@weft/contracts/envoy/service/discovery/v3/discovery'
import { WeftError } from '@weft/service/errors'
import { resourceName } from '@weft/xds/client/resource-name'
import type { ReceivedResource } from '@weft/xds/client/subscription'
import { parseConfigDocument } from '../bootstrap/document.ts'
import { canonicalJson } from './validation/canonical-json.ts'
import { messageType } from './validation/decode.ts'
import { checkJsonShape } from './validation/json-shape.ts'
import { describeProblems, formatPath, type Problem } from './validation/problem.ts'

export interface FileSourceOptions {
  path: string
  /** The folder whose moves trigger a new reading; that of the file when empty. */
  watchedDirectory: string
  /** The file is also read at this interval (ms), for folders whose changes nobody tells; 0: not. */
  pollMs: number
  typeUrl: string
  /** Hears of each field that the API does not have, which is left out; absent: a file with one is refused. */
  unknown: ((text: string) => void) | undefined
  receive(version: string, resources: ReceivedResource[]): void
  /** The file cannot be read or is no discovery response; what was read before stays in force. */
  failed(error: WeftError): void
}

/** How long a burst of events may last before the file is read. */
const settleMs = 20

/** Resources from a file that holds a DiscoveryResponse (YAML, JSON or binary), read again whenever it is replaced. */
export class FileSource {
  readonly #options: FileSourceOptions
  readonly #watchers: FSWatcher[] = []
  #timer: NodeJS.Timeout | undefined
  readonly #poll: NodeJS.Timeout | undefined
  #last: Buffer | undefined
  #closed = false

  constructor(options: FileSourceOptions) {
    this.#options = options
    const folders = new Set([dirname(options.path), ...(options.watchedDirectory === '' ? [] : [options.watchedDirectory])])
    for (const folder of folders) {
      try {
        const watcher = watch(folder, () => this.#soon())
        watcher.on('error', (error) => options.failed(WeftError.from(error)))
        this.#watchers.push(watcher)
      } catch (error) {
        options.failed(
          new WeftError('not_found', `cannot be watched: ${WeftError.from(error).message}`, { where: { file: folder } }),
        )
      }
    }
    if (options.pollMs > 0) this.#poll = setInterval(() => void this.#read(), Math.max(options.pollMs, settleMs))
    void this.#read()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    clearInterval(this.#poll)
    for (const watcher of this.#watchers) watcher.close()
  }

  #soon(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#read(), settleMs)
  }

  async #read(): Promise<void> {
    const { path, typeUrl, unknown, receive, failed } = this.#options
    try {
      const bytes = await readFile(path)
      if (this.#closed || this.#last?.equals(bytes)) return
      this.#last = bytes
      const response = DiscoveryResponse.decode(decode(path, bytes, unknown))
      const resources = response.resources.map((any) => {
        if (any.typeUrl !== typeUrl)
          throw new WeftError('invalid_argument', `holds a ${any.typeUrl} where ${typeUrl} is expected`, {
            where: { file: path },
          })
        return { name: resourceName(any.value), version: response.versionInfo, bytes: any.value }
      })
      receive(response.versionInfo, resources)
    } catch (error) {
      if (!this.#closed) failed(WeftError.from(error))
    }
  }
}

function decode(path: string, bytes: Buffer, unknown: FileSourceOptions['unknown']): Uint8Array {
  if (extname(path) === '.pb') return bytes
  const type = messageType('envoy.service.discovery.v3.DiscoveryResponse')
  const document = parseConfigDocument(bytes.toString('utf8'), path)
  const json = canonicalJson(descriptors(), type, document.json)
  const place = (problem: Problem): string => `${path}:${document.lineOf(problem.path) ?? 1}: ${formatPath(problem.path)}`
  const found = checkJsonShape(descriptors(), type, json)
  const problems = unknown === undefined ? found : found.filter(({ unknownField }) => unknownField !== true)
  if (problems.length > 0) throw new WeftError('invalid_argument', describeProblems(problems, place))
  for (const problem of found) unknown?.(`${place(problem)}: ${problem.message}`)
  return toBinary(type, fromJson(type, json, { registry: descriptors(), ignoreUnknownFields: true }))
}
