import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createLogger } from '@weft/service/logger'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { serverCertificate } from '../testing/server-certificate.ts'
import { FolderCredentials } from './folder-credentials.ts'

const patience = { timeout: 15_000 }
const [first, second] = await Promise.all([serverCertificate('shop.example'), serverCertificate('shop.example')])

let folder: string
let changes = 0
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-credentials-'))
  changes = 0
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
})

async function put(place: string, files: Record<string, string>): Promise<void> {
  await mkdir(join(folder, place), { recursive: true })
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, place, name), text)
}

const pair = ({ chainPem, privateKeyPem }: typeof first) => ({ 'tls.crt': chainPem, 'tls.key': privateKeyPem })

async function follow(pollMs = 60_000): Promise<FolderCredentials> {
  const options = { folder, logger: createLogger('test', 'silent'), quietMs: 1, pollMs }
  const credentials = await FolderCredentials.open(options)
  onTestFinished(() => credentials.close())
  credentials.subscribe(() => changes++)
  return credentials
}

const keys = (credentials: FolderCredentials): string[] => [...credentials.current.keys()].sort()
const certificate = (credentials: FolderCredentials, key: string): string | undefined =>
  credentials.current.get(key)?.certificate.toString()

test('a credential is of an account or of all of its namespace, by the folder it is in', async () => {
  await put('web/gateway/shop', pair(first))
  await put('web/@shared/shop', { ...pair(second), 'ca.crt': second.bundlePem })
  await put('web/gateway/note', { 'readme.txt': 'no credential' })
  await put('web/.trash/shop', pair(first))
  await writeFile(join(folder, 'web', 'readme.txt'), 'no folder')
  const credentials = await follow()
  expect(keys(credentials)).toEqual(['web//shop', 'web/gateway/shop'])
  expect(credentials.current.get('web/gateway/shop')).toMatchObject({ serviceAccount: 'gateway', name: 'shop' })
  expect(credentials.current.get('web//shop')?.serviceAccount).toBeUndefined()
  expect(credentials.current.get('web//shop')?.authorities.toString()).toBe(second.bundlePem)
})

test('what comes, changes and goes is told, in folders that were not there before too', async () => {
  const credentials = await follow()
  expect(keys(credentials)).toEqual([])
  await put('web/gateway/shop', pair(first))
  await expect.poll(() => keys(credentials), patience).toEqual(['web/gateway/shop'])
  await put('web/gateway/shop', pair(second))
  await expect.poll(() => certificate(credentials, 'web/gateway/shop'), patience).toBe(second.chainPem)
  expect(changes).toBeGreaterThanOrEqual(2)
  await rm(join(folder, 'web', 'gateway'), { recursive: true })
  await expect.poll(() => keys(credentials), patience).toEqual([])
})

test('a folder that is not there yet is found by looking again', async () => {
  await rm(folder, { recursive: true })
  const credentials = await follow(5)
  expect(keys(credentials)).toEqual([])
  await put('web/gateway/shop', pair(first))
  await expect.poll(() => keys(credentials), patience).toEqual(['web/gateway/shop'])
})

test('while a credential is half replaced or broken, the last whole one stays in force', async () => {
  await put('web/gateway/shop', pair(first))
  await put('web/gateway/other', pair(first))
  const credentials = await follow()
  await put('web/gateway/shop', { 'tls.crt': second.chainPem })
  await put('web/gateway/other', pair(second))
  await expect.poll(() => certificate(credentials, 'web/gateway/other'), patience).toBe(second.chainPem)
  expect(certificate(credentials, 'web/gateway/shop')).toBe(first.chainPem)
  await put('web/gateway/shop', { 'tls.key': second.privateKeyPem })
  await expect.poll(() => certificate(credentials, 'web/gateway/shop'), patience).toBe(second.chainPem)
})

test.each([
  ['its folder', 'web/gateway/shop'],
  ['the folder ..data within, as Kubernetes mounts a secret', 'web/gateway/shop/..data'],
])('all of a credential is swapped by a link that takes the place of %s', async (_, place) => {
  await put('web/gateway', {})
  await put('.versions/1', pair(first))
  await put('.versions/2', pair(second))
  await mkdir(dirname(join(folder, place)), { recursive: true })
  await symlink(join(folder, '.versions/1'), join(folder, place))
  const credentials = await follow()
  expect(certificate(credentials, 'web/gateway/shop')).toBe(first.chainPem)
  await symlink(join(folder, '.versions/2'), join(folder, 'next'))
  await rename(join(folder, 'next'), join(folder, place))
  await expect.poll(() => certificate(credentials, 'web/gateway/shop'), patience).toBe(second.chainPem)
  expect(changes).toBe(1)
})

test('a file of no bounded size is refused, and the others are read', async () => {
  await put('web/gateway/shop', { ...pair(first), 'ca.crt': 'x'.repeat((1 << 20) + 1) })
  await put('web/gateway/other', pair(first))
  expect(keys(await follow())).toEqual(['web/gateway/other'])
})
