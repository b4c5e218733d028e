import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { injectDocuments } from './documents.ts'
import { injectionSettings } from './settings.ts'
import { comparable, over } from './testing/comparable.ts'
import { findIstioSource } from './testing/istio-source.ts'

/**
 * Istio's injector as a command: `WEFT_ISTIO_INJECT`. It is built of tools/src/istio-inject/main.go, outside of the checkout:
 *   go mod init x && go get istio.io/istio@v0.0.0-20260827124520-eed52ebb66ad
 *   GOFLAGS=-mod=mod go build -tags vtprotobuf,disable_pgv -o istio-inject main.go
 */
const injector = process.env['WEFT_ISTIO_INJECT']
const source = findIstioSource()
const samples = ['samples', 'samples-1.0']
  .map((name) => join(import.meta.dirname, '../../../../shared/cases', name))
  .filter(existsSync)
const missing = [
  ...(injector === undefined ? ["Istio's injector (WEFT_ISTIO_INJECT)"] : []),
  ...(source === undefined ? ["Istio's source"] : []),
  ...(samples.length === 0 ? ["Istio's samples"] : []),
]
if (missing.length > 0) console.log(`not compared with Istio's injector: ${missing.join(' and ')} not here`)

test.skipIf(missing.length > 0).for([
  ['native', true],
  ['not native', false],
] as const)("Istio's samples come out as of Istio's injector: %s", { timeout: 600_000 }, ([, nativeSidecars]) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-injector-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const chart = join(source ?? '', 'manifests/charts/istio-control/istio-discovery')
  const { _internal_defaults_do_not_set: defaults } = parse(readFileSync(join(chart, 'values.yaml'), 'utf8')) as {
    _internal_defaults_do_not_set: Record<string, unknown>
  }
  const { global, sidecarInjectorWebhook, gateways, cni } = defaults
  const shortest = { global: { proxy: { resources: { limits: { cpu: '2', memory: '1Gi' } } } } }
  const values = over({ global, sidecarInjectorWebhook, gateways, revision: '', pilot: { cni, env: {} } }, shortest)
  const mesh = { defaultConfig: { discoveryAddress: 'istiod.istio-system.svc:15012' } }
  writeFileSync(join(folder, 'values'), JSON.stringify(values))
  writeFileSync(join(folder, 'mesh'), JSON.stringify(mesh))
  const settings = injectionSettings({
    values: over(values, { global: { caAddress: 'istiod.istio-system.svc:15012' } }),
    mesh,
    nativeSidecars,
  })
  const args = [join(chart, 'files'), join(folder, 'values'), join(folder, 'mesh')]
  const env = { ...process.env, ENABLE_NATIVE_SIDECARS: String(nativeSidecars) }
  let workloads = 0
  for (const samplesFolder of samples) {
    for (const name of readdirSync(samplesFolder, { recursive: true, encoding: 'utf8' }).filter((each) =>
      each.endsWith('.yaml'),
    )) {
      const input = readFileSync(join(samplesFolder, name), 'utf8')
      // Templates that are of an installation, or not here.
      if (/inject.istio.io\/templates: (grpc-agent|"sidecar,spire")/.test(input)) continue
      const { text, injected } = injectDocuments(input, name, settings)
      if (injected === 0) continue
      workloads += injected
      const theirs = execFileSync(injector ?? '', args, { input, env, encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'] })
      expect(comparable(text), name).toEqual(comparable(theirs))
    }
  }
  expect(workloads).toBeGreaterThan(40)
})
