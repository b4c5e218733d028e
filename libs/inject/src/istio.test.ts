import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { injectDocuments } from './documents.ts'
import { injectionSettings } from './settings.ts'
import { comparable, over } from './testing/comparable.ts'
import { findIstioSource } from './testing/istio-source.ts'

/** How Istio's own test runs an example, where it is not with the settings of an installation as it comes. */
interface Run {
  /** The input, when it is not named like the result. */
  in?: string
  values?: Record<string, unknown>
  mesh?: Record<string, unknown>
  /** A file of the installation's options beside the examples. */
  options?: string
  nativeSidecars?: false
}

const cni = { pilot: { cni: { enabled: true } } }
const multus = { pilot: { cni: { enabled: true, provider: 'multus' } } }
const proxy = (values: Record<string, unknown>): Run => ({ values: { global: { proxy: values } } })
const timing = { statusPort: 123, readinessInitialDelaySeconds: 100, readinessPeriodSeconds: 200, readinessFailureThreshold: 300 }
const semanticConventions = { opentelemetry: { serviceAttributeEnrichment: 'OTEL_SEMANTIC_CONVENTIONS' } }

const runs: Record<string, Run> = {
  'hello.yaml.cni': { in: 'hello.yaml', values: { ...cni, global: { network: 'network1' } } },
  'hello.yaml.proxyImageName': { in: 'hello.yaml', ...proxy({ image: 'proxyTest' }) },
  'hello.yaml.proxyInitImageName': { in: 'hello.yaml', values: { global: { proxy_init: { image: 'proxyInitTest' } } } },
  'hello-tproxy.yaml': { in: 'hello.yaml', mesh: { defaultConfig: { interceptionMode: 'TPROXY' } } },
  'hello-always.yaml': { in: 'hello.yaml', values: { global: { imagePullPolicy: 'Always' } } },
  'hello-never.yaml': { in: 'hello.yaml', values: { global: { imagePullPolicy: 'Never' } } },
  'format-duration.yaml': { mesh: { defaultConfig: { drainDuration: '23s' } } },
  'traffic-params.yaml': proxy({
    includeIPRanges: '127.0.0.1/24,10.96.0.1/24',
    excludeIPRanges: '10.96.0.2/24,10.96.0.3/24',
    excludeInboundPorts: '4,5,6',
    statusPort: 0,
  }),
  'status_params.yaml': proxy(timing),
  'kubevirtInterfaces.yaml': proxy(timing),
  'reroute-virtual-interfaces.yaml': proxy(timing),
  'hello-image-secrets-in-values.yaml': { in: 'hello.yaml', options: 'hello-image-secrets-in-values.iop.yaml' },
  'hello-multiple-image-secrets.yaml': { in: 'hello-image-pull-secret.yaml', options: 'hello-image-secrets-in-values.iop.yaml' },
  'hello-mount-mtls-certs.yaml': { in: 'hello.yaml', values: { global: { mountMtlsCerts: true } } },
  'hello-cncf-networks.yaml': { in: 'hello.yaml', values: multus },
  'hello-existing-cncf-networks.yaml': { values: multus },
  'hello-existing-cncf-networks-json.yaml': { values: multus },
  'hello.proxyHoldsApplication.yaml': { in: 'hello.yaml', ...proxy({ holdApplicationUntilProxyStarts: true }) },
  'hello-probes.proxyHoldsApplication.yaml': { in: 'hello-probes.yaml', ...proxy({ holdApplicationUntilProxyStarts: true }) },
  'hello-probes-noProxyHoldApplication-ProxyConfig.yaml': proxy({ holdApplicationUntilProxyStarts: true }),
  'merge-probers.yaml': proxy({ holdApplicationUntilProxyStarts: true }),
  'traffic-annotations.yaml': {
    mesh: {
      defaultConfig: { proxyMetadata: { ISTIO_META_TLS_CLIENT_KEY: '/etc/identity/client/keys/client-key.pem' } },
    },
  },
  'proxy-override-runas.yaml.cni': { in: 'proxy-override-runas.yaml', values: cni },
  'proxy-override-runas.yaml.tproxy': {
    in: 'proxy-override-runas.yaml',
    mesh: { defaultConfig: { interceptionMode: 'TPROXY' } },
  },
  'proxy-override-args-native.yaml': { in: 'proxy-override-args.yaml' },
  'hello-tracing-disabled.yaml': { mesh: { defaultConfig: { tracing: {} } } },
  'hello-probes-localhost.yaml': { mesh: { inboundTrafficPolicy: { mode: 'LOCALHOST' } } },
  'proxy-resources-null-no-init.yaml': { options: 'proxy-resources-null.iop.yaml' },
  'proxy-resources-null.yaml': { options: 'proxy-resources-null.iop.yaml' },
  'proxy-resources-zero.yaml': { options: 'proxy-resources-zero.iop.yaml' },
  'proxy-resources-memory-null.yaml': { options: 'proxy-resources-memory-null.iop.yaml' },
  'proxy-resources-mixed-null.yaml': { options: 'proxy-resources-mixed-null.iop.yaml' },
  'sidecar-spire.yaml': { options: 'spire-template.iop.yaml' },
  'gateway-spire.yaml': { options: 'spire-template.iop.yaml' },
  'hello-otel-semconv.yaml': { mesh: { extensionProviders: [semanticConventions] } },
}

/** What is another's way on purpose: `docs/platforms/injection.md` lists them. */
const differences: Record<string, string> = {
  'grpc-agent.yaml': 'there is no template grpc-agent: proxyless gRPC gets its bootstrap from Pilot',
  'grpc-simple.yaml': 'there is no template grpc-simple: proxyless gRPC gets its bootstrap from Pilot',
  'hello-template-in-values.yaml': 'Go templates are not run',
  'custom-template.yaml': 'Go templates are not run',
  'hello-fips-140-3.yaml': 'there is no switch of Go for FIPS 140-3',
  'hello-openshift.yaml': 'no user ids are taken from OpenShift',
  'hello-openshift-custom-injection.yaml': 'no user ids are taken from OpenShift',
  'hello-openshift-tproxy.yaml': 'no user ids are taken from OpenShift',
}

const source = findIstioSource()
const examples = source === undefined ? undefined : join(source, 'pkg/kube/inject/testdata/inject')
const cases =
  examples === undefined
    ? []
    : readdirSync(examples)
        .filter((name) => name.endsWith('.injected'))
        .map((name) => name.replace(/\.injected$/, ''))
if (examples === undefined) {
  console.log("Istio's source is not here: its examples of injection are not compared")
  // A file without a test would be an error.
  test.skip("examples of injection: Istio's source is not here")
}

test.for(cases.filter((name) => differences[name] === undefined))('%s is injected as by Istio', (name) => {
  const old = name.includes('-old-version')
  const run = runs[name] ?? (old ? { in: name.replace('-old-version', ''), nativeSidecars: false } : {})
  const read = (file: string): string => readFileSync(join(examples ?? '', file), 'utf8')
  const options: unknown = run.options === undefined ? {} : parse(read(run.options)).spec.values
  const settings = injectionSettings({
    values: over(istioValues, over(options, run.values ?? {})),
    mesh: over({ defaultConfig: { discoveryAddress: 'istiod.istio-system.svc:15012' } }, run.mesh ?? {}),
    nativeSidecars: run.nativeSidecars ?? true,
  })
  const injected = injectDocuments(read(run.in ?? name), name, settings)
  expect(comparable(injected.text)).toEqual(comparable(read(`${name}.injected`)))
})

const istioValues = {
  global: {
    hub: 'registry.istio.io/testing',
    caAddress: 'istiod.istio-system.svc:15012',
    proxy: { image: 'proxyv2' },
    proxy_init: { image: 'proxyv2' },
  },
}
