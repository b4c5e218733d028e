import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ExecPlugin, execSchema } from './exec-credentials.ts'

const apiVersion = 'client.authentication.k8s.io/v1'

/** A plugin that is this JavaScript; `asked` counts its runs in a file. */
async function plugin(script: string, more: object = {}, timeoutMs?: number) {
  const folder = await mkdtemp(join(tmpdir(), 'weft-exec-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const log = join(folder, 'log')
  await writeFile(join(folder, 'plugin.cjs'), `require('fs').appendFileSync(process.env.LOG, 'x');${script}`)
  const env = [{ name: 'LOG', value: log }, { name: 'NAME', value: 'value' }] // biome-ignore format: one line
  const args = [join(folder, 'plugin.cjs'), 'an argument']
  const config = execSchema.parse({ apiVersion, command: process.execPath, args, env, ...more })
  const cluster = async () => ({ server: 'https://one' })
  const one = new ExecPlugin({ config, folder, cluster, ...(timeoutMs === undefined ? {} : { timeoutMs }) })
  return { plugin: one, asked: async () => (await readFile(log, 'utf8')).length }
}

const print = (status: string, version = apiVersion): string =>
  `console.log(JSON.stringify({apiVersion:'${version}',kind:'ExecCredential',status:${status}}))`

test('it gets its arguments, environment and what it may know, and is run once for all who ask', async () => {
  const info = 'JSON.parse(process.env.KUBERNETES_EXEC_INFO)'
  const status = `{token: [process.argv[2], process.env.NAME, ${info}.spec.interactive, ${info}.spec.cluster.server].join()}`
  const { plugin: one, asked } = await plugin(print(status), { provideClusterInfo: true })
  const all = await Promise.all([one.credentials(), one.credentials()])
  expect(all.map(({ token }) => token)).toEqual(Array(2).fill('an argument,value,false,https://one'))
  await one.credentials()
  expect(await asked()).toBe(1)
})

test('it is asked again once the credentials expire, and after the server refused them', async () => {
  const soon = await plugin(print("{token: 'a', expirationTimestamp: new Date(Date.now() + 5000).toISOString()}"))
  await soon.plugin.credentials()
  await soon.plugin.credentials()
  expect(await soon.asked()).toBe(2)
  const later = await plugin(print("{token: 'a', expirationTimestamp: new Date(Date.now() + 3600000).toISOString()}"))
  await later.plugin.credentials()
  await later.plugin.credentials()
  expect(await later.asked()).toBe(1)
  later.plugin.forget()
  await later.plugin.credentials()
  expect(await later.asked()).toBe(2)
})

test('a certificate with its key is taken', async () => {
  const { plugin: one } = await plugin(print("{clientCertificateData: 'CERT', clientKeyData: 'KEY'}"))
  expect(await one.credentials()).toEqual({ token: undefined, certificate: { cert: 'CERT', key: 'KEY' } })
})

test.for([
  ["console.error('not logged in'); process.exit(3)", /failed: not logged in/],
  ["console.log('{')", /printed no ExecCredential/],
  [
    print("{token: 'a'}", 'client.authentication.k8s.io/v1beta1'),
    /printed no ExecCredential of client.authentication.k8s.io\/v1$/,
  ],
  [print("{clientCertificateData: 'CERT'}"), /neither a token nor a certificate/],
  [print("{token: 'a', expirationTimestamp: 'soon'}"), /no time: soon/],
  ["process.stdout.write('x'.repeat(2 << 20))", /printed more than 1048576 bytes/],
] as const)('a plugin that gives none is told with its words: %s', async ([script, message]) => {
  const { plugin: one } = await plugin(script)
  await expect(one.credentials()).rejects.toThrow(message)
})

test('one that hangs is ended, and one that is not there is told with the hint how to get it', async () => {
  const { plugin: hanging } = await plugin('setInterval(() => {}, 1000)', {}, 1_000)
  await expect(hanging.credentials()).rejects.toThrow(/ended after 1000 ms/)
  const { plugin: absent } = await plugin('', { command: './no-plugin', installHint: 'install it' })
  const refused = await absent.credentials().catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'unavailable', hint: 'install it' })
})
