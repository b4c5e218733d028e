import { X509Certificate } from 'node:crypto'
import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createCertificate, type Issuer, readIssuer, selfIssuer } from '@weft/identity/certificate'
import { createKeyPair, privateKeyPem, publicKeyDer } from '@weft/identity/keys'
import { formatPem } from '@weft/identity/pem'
import { parseCertificates, verifyChain } from '@weft/identity/verify'
import { beforeEach, expect, it, onTestFinished } from 'vitest'
import { joinAs, startTestCitadel, testFolder } from '../testing.ts'
import { openPluggedInAuthority } from './plugged-in.ts'

let folder = ''
beforeEach(async () => {
  folder = join(await testFolder(), 'ca')
  await mkdir(folder)
})
async function make(
  commonName: string,
  signer?: { issuer: Issuer },
  lifeMs = 3_600_000,
  use: 'authority' | 'workload' = 'authority',
) {
  const { privateKey, publicKey } = await createKeyPair()
  const spki = publicKeyDer(publicKey)
  const subject = { commonName }
  const der = createCertificate(
    { subject, spki, names: {}, notBefore: new Date(Date.now() - 7_200_000), notAfter: new Date(Date.now() + lifeMs), use },
    signer?.issuer ?? selfIssuer(privateKey, spki, subject),
  )
  return {
    key: privateKeyPem(privateKey),
    pem: formatPem('CERTIFICATE', der),
    certificate: new X509Certificate(der),
    issuer: readIssuer(der, privateKey),
  }
}

async function write(files: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content, { mode: 0o600 })
}

it('an authority two links below its root signs chains that lead there', async () => {
  const root = await make('root')
  const middle = await make('middle', root)
  const ca = await make('ca', middle)
  await write({
    'root-cert.pem': root.pem,
    'cert-chain.pem': ca.pem + middle.pem + root.pem,
    'ca-cert.pem': ca.pem,
    'ca-key.pem': ca.key,
  })
  const citadel = await startTestCitadel(join(folder, '..'), { caDir: folder })
  onTestFinished(() => citadel.lifecycle.stop('end of test'))
  expect(await readFile(citadel.rootCertFile, 'utf8')).toBe(root.pem)
  const workload = await joinAs(folder, citadel, await citadel.mint('spiffe://cluster.local/ns/a/sa/b'))
  onTestFinished(() => workload.lifecycle.stop('end of test'))
  const { chainPem, notAfter } = await workload.identity.ready()
  const chain = parseCertificates(chainPem, 'chain')
  expect(chain.map(({ subject }) => subject)).toEqual([undefined, 'CN=ca', 'CN=middle'])
  expect(verifyChain(chain, [root.certificate], new Date()).workload).toEqual({ namespace: 'a', serviceAccount: 'b' })
  expect(notAfter).toEqual(ca.certificate.validToDate)
})

it('what does not fit together is refused with its file', async () => {
  const [root, other] = [await make('root'), await make('other')]
  const ca = await make('ca', root)
  const good = { 'root-cert.pem': root.pem, 'ca-cert.pem': ca.pem, 'ca-key.pem': ca.key }
  const refusal = async (change: Record<string, string>): Promise<unknown> => {
    await write({ ...good, ...change })
    return openPluggedInAuthority(folder, undefined).catch((error: unknown) => error)
  }
  const message = (text: RegExp) => expect.objectContaining({ message: expect.stringMatching(text) })
  expect(await refusal({ 'ca-key.pem': other.key })).toEqual(message(/does not match the key/))
  expect(await refusal({ 'ca-key.pem': 'junk' })).toEqual(message(/invalid PEM-encoded key/))
  expect(await refusal({ 'ca-cert.pem': 'junk' })).toEqual(message(/has no PEM block/))
  expect(await refusal({ 'root-cert.pem': other.pem })).toEqual(message(/signed by unknown authority/))
  const leaf = await make('leaf', root, 3_600_000, 'workload')
  expect(await refusal({ 'ca-cert.pem': leaf.pem, 'ca-key.pem': leaf.key })).toEqual(message(/not authorized to sign/))
  const old = await make('old', root, -3_600_000)
  expect(await refusal({ 'ca-cert.pem': old.pem, 'ca-key.pem': old.key })).toEqual(message(/has expired/))
  expect(await refusal({})).toMatchObject({ roots: [expect.anything()] })
  await rm(join(folder, 'root-cert.pem'))
  const missing: unknown = await openPluggedInAuthority(folder, undefined).catch((error: unknown) => error)
  expect(missing).toMatchObject({ where: { file: join(folder, 'root-cert.pem') } })
})

it('a key that others can read is closed to them', async () => {
  const root = await make('root')
  await write({ 'root-cert.pem': root.pem, 'ca-cert.pem': root.pem, 'ca-key.pem': root.key })
  await chmod(join(folder, 'ca-key.pem'), 0o644)
  await openPluggedInAuthority(folder, undefined)
  expect((await stat(join(folder, 'ca-key.pem'))).mode & 0o777).toBe(0o600)
})
