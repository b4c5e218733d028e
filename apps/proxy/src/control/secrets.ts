import { type FSWatcher, watch } from 'node:fs'
import { dirname } from 'node:path'
import type { DataSource } from '@weft/contracts/envoy/config/core/v3/base'
import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { WeftError } from '@weft/service/errors'
import { typeUrls } from '@weft/xds/types'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import { readDataSource } from '../plan/data-source.ts'
import { compileSecret, SecretStore } from '../plan/secret-store.ts'
import type { ResourceError, ResourceUpdate } from '../threads.ts'
import { FetchedResources } from './fetched-resources.ts'
import { type CheckedResource, checkedResource, checkSecretKind, type SecretReference, sameBytes } from './resource.ts'
import type { ConfigSources } from './sources.ts'

/** A secret as `/config_dump` and `/certs` show it. */
export interface SecretState {
  name: string
  origin: 'static' | 'dynamic'
  version: string
  updatedAt: Date | undefined
  /** As Envoy shows it: a static one as it came, a fetched one with its files read in. Undefined while it warms. */
  shown: Secret | undefined
}

interface Kept extends SecretState {
  /** With its files read in. */
  secret: Secret | undefined
  /** As it came, before files were read in. */
  source: Secret | undefined
  bytes: Uint8Array | undefined
  files: FSWatcher[]
}

export interface SecretsOptions {
  sources: ConfigSources
  stats: Stats
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
  readonly #static = new Map<string, Kept>()
  readonly #fetched: FetchedResources<SecretReference, Kept>

  constructor(options: SecretsOptions) {
    this.#options = options
    this.#fetched = new FetchedResources({
      typeUrl: typeUrls.secret,
      noun: 'secret',
      api: 'SDS',
      sources: options.sources,
      stats: options.stats,
      log: options.log,
      statPrefix: ({ name }) => `sds.${name}`,
      opened: ({ prefix, stats }) => void stats.counter(`${prefix}.key_rotation_failed`),
      used: ({ name }, { source }) => {
        if (source?.configSourceSpecifier === undefined)
          options.log.error(`secret ${name}: no static secret has this name, and it has no source`)
      },
      take: (entry, received) => {
        entry.state ??= newSecret(entry.name, 'dynamic')
        const resource = checkedResource('secret', entry.name, received.version, received.bytes)
        const kind = Secret.decode(resource.bytes).type?.$case
        for (const use of entry.uses) checkSecretKind(use, kind)
        this.#take(entry.state, resource)
        entry.ready.resolve()
      },
      // As Envoy shows it: the version that came last.
      refused: ({ state }, version) => {
        if (state !== undefined && version !== '') state.version = version
      },
      dropped: ({ name, state }) => {
        for (const file of state?.files ?? []) file.close()
        this.store.set(name, null)
        void options.publish([{ kind: 'secret', name, bytes: null }])
      },
    })
  }

  /** A secret of the bootstrap. */
  addStatic(resource: CheckedResource): void {
    const kept = newSecret(resource.name, 'static')
    this.#static.set(resource.name, kept)
    this.#take(kept, resource)
  }

  get(name: string): Secret | undefined {
    return (this.#static.get(name) ?? this.#fetched.get(name)?.state)?.secret
  }

  /** See SecretState. */
  shown(name: string): Secret | undefined {
    return (this.#static.get(name) ?? this.#fetched.get(name)?.state)?.shown
  }

  list(): SecretState[] {
    const fetched = [...this.#fetched.list()].map(({ name, state }) => state ?? newSecret(name, 'dynamic'))
    return [...this.#static.values(), ...fetched]
  }

  /** Starts to fetch what is referred to; each use has to be released. */
  use(references: readonly SecretReference[]): void {
    this.#fetched.use(this.#notStatic(references))
  }

  release(references: readonly SecretReference[]): void {
    this.#fetched.release(this.#notStatic(references))
  }

  /** Whether all of them are there. */
  areReady(references: readonly SecretReference[]): boolean {
    return this.#fetched.areReady(this.#notStatic(references))
  }

  /** Resolves when all are there, or each one's initial fetch timeout is over. */
  async ready(references: readonly SecretReference[]): Promise<void> {
    await this.#fetched.ready(this.#notStatic(references))
  }

  close(): void {
    this.#fetched.close()
    for (const { state } of this.#fetched.list()) for (const file of state?.files ?? []) file.close()
    for (const { files } of this.#static.values()) for (const file of files) file.close()
  }

  #notStatic(references: readonly SecretReference[]): SecretReference[] {
    return references.filter(({ name }) => !this.#static.has(name))
  }

  #take(kept: Kept, resource: CheckedResource): void {
    const source = Secret.decode(resource.bytes)
    this.#apply(kept, source, resource.version)
    kept.source = source
    for (const file of kept.files.splice(0)) file.close()
    for (const folder of watchedFolders(source)) {
      try {
        kept.files.push(watch(folder, () => this.#reread(kept)))
      } catch (error) {
        this.#options.log.warn(`secret ${kept.name}: ${folder} cannot be watched: ${WeftError.from(error).message}`)
      }
    }
  }

  #reread(kept: Kept): void {
    if (kept.source === undefined) return
    try {
      this.#apply(kept, kept.source, kept.version)
    } catch (error) {
      this.#options.log.warn(`secret ${kept.name} keeps its last good files: ${WeftError.from(error).describe()}`)
    }
  }

  #apply(kept: Kept, source: Secret, version: string): void {
    const secret = withFiles(source)
    const bytes = Secret.encode(secret).finish()
    if (kept.bytes !== undefined && sameBytes(kept.bytes, bytes)) return
    kept.version = version
    this.store.set(kept.name, compileSecret(bytes).secret)
    kept.secret = secret
    kept.shown = kept.origin === 'static' ? source : secret
    kept.bytes = bytes
    kept.updatedAt = new Date()
    void this.#options.publish([{ kind: 'secret', name: kept.name, bytes }])
    this.#options.changed(kept.name)
  }
}

function newSecret(name: string, origin: 'static' | 'dynamic'): Kept {
  return {
    name,
    origin,
    version: '',
    updatedAt: undefined,
    secret: undefined,
    shown: undefined,
    source: undefined,
    bytes: undefined,
    files: [],
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
    const ocspStaple = inline(type.value.ocspStaple, 'ocsp_staple')
    const value = { ...type.value, certificateChain, privateKey, password, ocspStaple }
    return { ...secret, type: { $case: 'tlsCertificate', value } }
  }
  if (type?.$case === 'validationContext') {
    const trustedCa = inline(type.value.trustedCa, 'trusted_ca')
    const crl = inline(type.value.crl, 'crl')
    return { ...secret, type: { $case: 'validationContext', value: { ...type.value, trustedCa, crl } } }
  }
  if (type?.$case === 'sessionTicketKeys') {
    const keys = type.value.keys.flatMap((key, i) => inline(key, `session_ticket_keys.keys[${i}]`) ?? [])
    return { ...secret, type: { $case: 'sessionTicketKeys', value: { keys } } }
  }
  if (type?.$case === 'genericSecret') {
    const secrets = Object.fromEntries(
      Object.entries(type.value.secrets).flatMap(([name, source]) => {
        const read = inline(source, `secrets['${name}']`)
        return read === undefined ? [] : [[name, read]]
      }),
    )
    return { ...secret, type: { $case: 'genericSecret', value: { secret: inline(type.value.secret, 'secret'), secrets } } }
  }
  return secret
}

/** Where what is in a secret comes from. */
function sourcesOf(type: Secret['type']): readonly (DataSource | undefined)[] {
  switch (type?.$case) {
    case 'tlsCertificate':
      return [type.value.certificateChain, type.value.privateKey, type.value.ocspStaple]
    case 'validationContext':
      return [type.value.trustedCa, type.value.crl]
    case 'sessionTicketKeys':
      return type.value.keys
    case 'genericSecret':
      return [type.value.secret, ...Object.values(type.value.secrets)]
    default:
      return []
  }
}

/** The folders whose changes mean new files: those named, else those of the files. */
function watchedFolders(secret: Secret): Set<string> {
  const type = secret.type
  const value = type?.$case === 'tlsCertificate' || type?.$case === 'validationContext' ? type.value : undefined
  if (value?.watchedDirectory !== undefined) return new Set([value.watchedDirectory.path])
  const sources = sourcesOf(type)
  const folders = new Set<string>()
  for (const source of sources) {
    if (source?.specifier?.$case !== 'filename') continue
    folders.add(source.watchedDirectory?.path ?? dirname(source.specifier.value))
  }
  return folders
}
