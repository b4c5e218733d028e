import type { X509Certificate } from 'node:crypto'
import { rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { formatPem } from '@weft/identity/pem'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import type { Authority } from './authority.ts'
import type { CurrentAuthority } from './current.ts'
import { fileMode, readFileIfThere, readSecretIfThere, writeFileAtomically } from './files.ts'
import { authorityOf, createRoot, readPrivateKey, rootFiles, writePrivateKey } from './self-signed.ts'

/** The steps of a root rotation, in order: trust both roots, issue from the new one, drop the old one. */
export const rotationSteps = ['begin', 'switch', 'finish'] as const
export type RotationStep = (typeof rotationSteps)[number]

/** Where a rotation stands. What is not under way waits for `begin`. */
export interface RotationStatus {
  phase: 'none' | 'trust-both' | 'issue-new'
  /** The step that comes next. */
  next: RotationStep
  /** Why it should not be taken yet; undefined when it may be. */
  blocked: string | undefined
}

export interface RotationOptions {
  authority: CurrentAuthority
  dataDir: string
  trustDomain: string
  passphrase: string | undefined
  logger: Logger
  /** Why not all proxies use what was sent last; undefined when all do. */
  unsettled: () => string | undefined
  /** When the last certificate that was issued so far, outside streams, runs out. */
  lastExpiry: () => Date
}

/**
 * Replaces the root without a moment in which two workloads do not trust each other. Each step is held until all proxies have
 * acknowledged the one before, and the last until no certificate of the old root is left; `force` goes on regardless. Each step
 * is one file replaced, so a crash leaves the rotation before or after it; a restart finds the phase in the files.
 */
export class RootRotation {
  readonly #options: RotationOptions
  #phase: RotationStatus['phase'] = 'none'
  #oldEnds: Date | undefined
  #running = false

  private constructor(options: RotationOptions) {
    this.#options = options
  }

  /** Finds out how far a rotation has come. */
  static async open(options: RotationOptions): Promise<RootRotation> {
    const rotation = new RootRotation(options)
    const files = rootFiles(options.dataDir)
    const isDouble = options.authority.get().roots.length > 1
    if (!isDouble) return rotation
    rotation.#phase = (await readSecretIfThere(files.nextKey)) === undefined ? 'issue-new' : 'trust-both'
    if (rotation.#phase === 'issue-new') {
      const written = new Date((await readFileIfThere(rotation.#endFile))?.trim() ?? Number.NaN)
      rotation.#oldEnds = Number.isNaN(written.getTime()) ? options.lastExpiry() : written
    }
    return rotation
  }

  status(): RotationStatus {
    const next = ({ none: 'begin', 'trust-both': 'switch', 'issue-new': 'finish' } as const)[this.#phase]
    return { phase: this.#phase, next, blocked: this.#blocked() }
  }

  /** Takes the next step. Throws `failed_precondition` when it is another's turn or is held, unless forced. */
  async take(step: RotationStep, force: boolean): Promise<RotationStatus> {
    const { next, blocked } = this.status()
    if (step !== next) {
      throw new WeftError('failed_precondition', `the step ${step} is not next: the phase is ${this.#phase}`, {
        hint: `take ${next}`,
      })
    }
    if (blocked !== undefined && !force) {
      throw new WeftError('failed_precondition', `the step ${step} is held: ${blocked}`, {
        hint: 'wait, or force it and break those',
      })
    }
    if (this.#running) throw new WeftError('failed_precondition', 'a step is being taken', { hint: 'wait for it' })
    this.#running = true
    try {
      if (step === 'begin') await this.#begin()
      else if (step === 'switch') await this.#switch()
      else await this.#finish()
    } finally {
      this.#running = false
    }
    this.#options.logger.warn({ step, forced: blocked !== undefined, phase: this.#phase }, 'root rotation: step taken')
    return this.status()
  }

  #blocked(): string | undefined {
    const { unsettled } = this.#options
    if (this.#phase === 'none') return undefined
    const reason = unsettled()
    if (reason !== undefined) return reason
    if (this.#phase === 'issue-new' && this.#oldEnds !== undefined && this.#oldEnds > new Date()) {
      return `certificates of the old root are valid until ${this.#oldEnds.toISOString()}`
    }
    return undefined
  }

  async #begin(): Promise<void> {
    const { authority, trustDomain, passphrase } = this.#options
    const files = this.#files
    const { key, certificate } = await createRoot(trustDomain)
    await writeFileAtomically(files.nextKey, writePrivateKey(key, passphrase), fileMode.secret)
    await this.#setRoots([...authority.get().roots, certificate])
    this.#phase = 'trust-both'
  }

  async #switch(): Promise<void> {
    const { authority, passphrase, lastExpiry } = this.#options
    const files = this.#files
    const next = await readSecretIfThere(files.nextKey)
    if (next === undefined)
      throw new WeftError('failed_precondition', 'the next key is missing', { where: { file: files.nextKey } })
    const replacement = authorityOf(readPrivateKey(next, files.nextKey, passphrase), authority.get().roots, files.certificates)
    const oldEnds = lastExpiry()
    await writeFileAtomically(this.#endFile, `${oldEnds.toISOString()}\n`, fileMode.public)
    await rename(files.nextKey, files.key)
    this.#oldEnds = oldEnds
    this.#phase = 'issue-new'
    authority.set(replacement)
  }

  async #finish(): Promise<void> {
    const { certificate } = this.#options.authority.get()
    await this.#setRoots([certificate])
    await unlink(this.#endFile).catch(() => undefined)
    this.#oldEnds = undefined
    this.#phase = 'none'
  }

  /** Puts other roots beside the same key in force, on disk first. */
  async #setRoots(roots: readonly X509Certificate[]): Promise<void> {
    const { authority, passphrase } = this.#options
    const files = this.#files
    const keyPem = (await readSecretIfThere(files.key)) ?? ''
    const replacement: Authority = authorityOf(readPrivateKey(keyPem, files.key, passphrase), roots, files.certificates)
    const pem = roots.map((root) => formatPem('CERTIFICATE', root.raw)).join('')
    await writeFileAtomically(files.certificates, pem, fileMode.public)
    authority.set(replacement)
  }

  get #files() {
    return rootFiles(this.#options.dataDir)
  }

  /** Holds when the last certificate of the old root ends. */
  get #endFile(): string {
    return join(this.#options.dataDir, 'old-root-end')
  }
}
