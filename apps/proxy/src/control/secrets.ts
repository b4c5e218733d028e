import { type FSWatcher, watch } from 'node:fs'
import { dirname } from 'node:path'
import type { DataSource } from '@weft/contracts/envoy/config/core/v3/base'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { WeftError } from '@weft/service/errors'
import { typeUrls } from '@weft/xds/types'
import type { ComponentLog } from '../log.ts'
import { readDataSource } from '../plan/data-source.ts'
import { compileSecret, SecretStore } from '../plan/secret-store.ts'
import type { ResourceError, ResourceUpdate } from '../threads.ts'
import { Deferred } from './deferred.ts'
import { type CheckedResource, checkedResource, type Reference, sameBytes } from './resource.ts'
import { type ConfigSources, initialFetchTimeoutMs, type Watch } from './sources.ts'

/** A secret as `/config_dump` and `/certs` show it. */
export interface SecretState {
  name: string
  origin: 'static' | 'dynamic'
  version: string
  updatedAt: Date | undefined
  /** With its files read in; undefined while it warms. */
  secret: Secret | undefined
}

interface Entry extends SecretState {
  /** As it came, before files were read in. */
  source: Secret | undefined
  bytes: Uint8Array | undefined
  watch: Watch | undefined
  users: number
  ready: Deferred
  timeoutMs: number
  files: FSWatcher[]
}

export interface SecretsOptions {
  sources: ConfigSources
  publish(resources: ResourceUpdate[]): Promise<ResourceError[]>
  /** A secret came or changed. */
  changed(name: string): void
  log: ComponentLog
}

/** Certificates, keys and trust: static ones, and those fetched by SDS for as long as a listener or cluster uses them. */
export class Secrets {
  /** Compiled, for the control plane's own connections. */
  readonly store = new SecretStore()
  readonly #options: SecretsOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: SecretsOptions) {
    this.#options = options
  }

  /** A secret of the bootstrap. */
  addStatic(resource: CheckedResource): void {
    const entry = this.#entry(resource.name, 'static', 0)
    this.#take(entry, resource)
  }

  get(name: string): Secret | undefined {
    return this.#entries.get(name)?.secret
  }

  list(): SecretState[] {
    return [...this.#entries.values()]
  }

  /** Starts to fetch what is referred to; each use has to be released. */
  use(references: readonly Reference[]): void {
    for (const { name, source } of references) {
      const known = this.#entries.get(name)
      if (known !== undefined) {
        known.users++
        continue
      }
      const entry = this.#entry(name, 'dynamic', initialFetchTimeoutMs(source))
      entry.users = 1
      if (source?.configSourceSpecifier === undefined) {
        this.#options.log.error(`secret ${name}: no static secret has this name, and it has no source`)
        continue
      }
      entry.watch = this.#options.sources.watchNamed(source, typeUrls.secret, name, {
        receive: async (received) => {
          try {
            this.#take(entry, checkedResource('secret', name, received.version, received.bytes))
            return []
          } catch (error) {
            const text = WeftError.from(error).describe()
            this.#options.log.warn(`SDS: ${text}`)
            return [text]
          }
        },
        failed: (reason) => this.#options.log.debug(`secret ${name} cannot be fetched now: ${reason}`),
      })
    }
  }

  release(references: readonly Reference[]): void {
    for (const { name } of references) {
      const entry = this.#entries.get(name)
      if (entry === undefined || --entry.users > 0 || entry.origin === 'static') continue
      entry.watch?.close()
      for (const file of entry.files) file.close()
      this.#entries.delete(name)
      this.store.set(name, null)
      void this.#options.publish([{ kind: 'secret', name, bytes: null }])
    }
  }

  /** Whether all of them are there. */
  areReady(references: readonly Reference[]): boolean {
    return references.every(({ name }) => this.#entries.get(name)?.ready.done === true)
  }

  /** Resolves when all are there, or each one's initial fetch timeout is over. */
  async ready(references: readonly Reference[]): Promise<void> {
    await Promise.all(
      references.map(async ({ name }) => {
        const entry = this.#entries.get(name)
        if (entry === undefined || (await entry.ready.within(entry.timeoutMs))) return
        this.#options.log.warn(`secret ${name} has not come within its initial fetch timeout`)
      }),
    )
  }

  close(): void {
    for (const entry of this.#entries.values()) for (const file of entry.files) file.close()
  }

  #entry(name: string, origin: 'static' | 'dynamic', timeoutMs: number): Entry {
    const entry: Entry = {
      name,
      origin,
      version: '',
      updatedAt: undefined,
      secret: undefined,
      source: undefined,
      bytes: undefined,
      watch: undefined,
      users: 0,
      ready: new Deferred(),
      timeoutMs,
      files: [],
    }
    this.#entries.set(name, entry)
    return entry
  }

  #take(entry: Entry, resource: CheckedResource): void {
    const source = Secret.decode(resource.bytes)
    this.#apply(entry, source, resource.version)
    entry.source = source
    for (const file of entry.files.splice(0)) file.close()
    for (const folder of watchedFolders(source)) {
      try {
        entry.files.push(watch(folder, () => this.#reread(entry)))
      } catch (error) {
        this.#options.log.warn(`secret ${entry.name}: ${folder} cannot be watched: ${WeftError.from(error).message}`)
      }
    }
  }

  #reread(entry: Entry): void {
    if (entry.source === undefined) return
    try {
      this.#apply(entry, entry.source, entry.version)
    } catch (error) {
      this.#options.log.warn(`secret ${entry.name} keeps its last good files: ${WeftError.from(error).describe()}`)
    }
  }

  #apply(entry: Entry, source: Secret, version: string): void {
    const secret = withFiles(source)
    const bytes = Secret.encode(secret).finish()
    entry.version = version
    if (entry.bytes === undefined || !sameBytes(entry.bytes, bytes)) {
      this.store.set(entry.name, compileSecret(bytes).secret)
      entry.secret = secret
      entry.bytes = bytes
      entry.updatedAt = new Date()
      void this.#options.publish([{ kind: 'secret', name: entry.name, bytes }])
      this.#options.changed(entry.name)
    }
    entry.ready.resolve()
  }
}

/** A secret with the content of its files in it. */
function withFiles(secret: Secret): Secret {
  const inline = (source: DataSource | undefined, what: string): DataSource | undefined =>
    source === undefined
      ? undefined
      : {
          specifier: { $case: 'inlineBytes', value: readDataSource(source, `Secret ${secret.name}: ${what}`) },
          watchedDirectory: undefined,
        }
  const type = secret.type
  if (type?.$case === 'tlsCertificate') {
    const certificateChain = inline(type.value.certificateChain, 'certificate_chain')
    const privateKey = inline(type.value.privateKey, 'private_key')
    const password = inline(type.value.password, 'password')
    return { ...secret, type: { $case: 'tlsCertificate', value: { ...type.value, certificateChain, privateKey, password } } }
  }
  if (type?.$case === 'validationContext') {
    const trustedCa = inline(type.value.trustedCa, 'trusted_ca')
    const crl = inline(type.value.crl, 'crl')
    return { ...secret, type: { $case: 'validationContext', value: { ...type.value, trustedCa, crl } } }
  }
  if (type?.$case === 'genericSecret')
    return { ...secret, type: { $case: 'genericSecret', value: { secret: inline(type.value.secret, 'secret') } } }
  return secret
}

/** The folders whose changes mean new files: those named, else those of the files. */
function watchedFolders(secret: Secret): Set<string> {
  const type = secret.type
  const value = type?.$case === 'tlsCertificate' || type?.$case === 'validationContext' ? type.value : undefined
  if (value === undefined) return new Set()
  if (value.watchedDirectory !== undefined) return new Set([value.watchedDirectory.path])
  const sources = 'trustedCa' in value ? [value.trustedCa, value.crl] : [value.certificateChain, value.privateKey]
  const folders = new Set<string>()
  for (const source of sources) {
    if (source?.specifier?.$case !== 'filename') continue
    folders.add(source.watchedDirectory?.path ?? dirname(source.specifier.value))
  }
  return folders
}
