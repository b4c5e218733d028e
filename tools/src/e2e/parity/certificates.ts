import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Certificates, makeCertificates } from '../../certificates.ts'

let made: Certificates | undefined

/** The certificates of all cases, made on first use; gone with this process. */
export function certificates(): Certificates {
  if (made === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'weft-e2e-certificates-'))
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
    made = makeCertificates(folder)
  }
  return made
}
