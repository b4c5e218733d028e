import { MeshConfig_H2UpgradePolicy as H2UpgradePolicy, type MeshConfig } from '@weft/contracts/istio/mesh/v1alpha1/config'
import type { LocalityLoadBalancerSetting } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import { type LabelSelector, labelSelectorSchema } from '@weft/inject/label-selector'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'
import { type ExtensionProvider, readExtensionProviders } from './extension-providers.ts'

export type PathNormalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES'

/** By the numbers that MeshConfig has; its DEFAULT is BASE. */
const pathNormalizations: readonly PathNormalization[] = ['BASE', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']

/** MeshConfig, with defaults filled in. */
export interface MeshSettings {
  /** DNS domain of the mesh: `cluster.local`. */
  readonly domain: string
  readonly trustDomain: string
  readonly trustDomainAliases: readonly string[]
  /** Namespace whose policies hold in the whole mesh: `istio-system`. */
  readonly rootNamespace: string
  /** `host:port` of Mixer's service; empty where the mesh has none. */
  readonly mixerCheckServer: string
  readonly mixerReportServer: string
  readonly disablePolicyChecks: boolean
  readonly disableMixerHttpReports: boolean
  readonly connectTimeoutMs: number
  /** How long a connection's first bytes are waited for where they tell what is spoken; then it is taken for plain TCP. 0: for ever. */
  readonly protocolDetectionTimeoutMs: number
  readonly outboundTrafficPolicy: 'ALLOW_ANY' | 'REGISTRY_ONLY'
  /** Sidecars use mutual TLS towards endpoints that take it, without a DestinationRule that says so. */
  readonly enableAutoMtls: boolean
  /** HTTP ports are spoken to by HTTP/2 where no DestinationRule says otherwise. */
  readonly upgradesToHttp2: boolean
  /** Empty: no access log. */
  readonly accessLogFile: string
  readonly accessLogFormat: string
  readonly accessLogEncoding: 'TEXT' | 'JSON'
  readonly enableTracing: boolean
  /** How request paths are made comparable before anything is matched with them. */
  readonly pathNormalization: PathNormalization
  /** Whom AuthorizationPolicies with the action CUSTOM may ask, by name. */
  readonly extensionProviders: ReadonlyMap<string, ExtensionProvider>
  readonly defaultServiceExportTo: readonly string[]
  readonly defaultVirtualServiceExportTo: readonly string[]
  readonly defaultDestinationRuleExportTo: readonly string[]
  /** How load keeps to near endpoints where neither a DestinationRule nor the service says it. */
  readonly localityLbSetting: LocalityLoadBalancerSetting
  /** Of Kubernetes, only namespaces that one of these selects are in the mesh; all where there are none. */
  readonly discoverySelectors: readonly LabelSelector[]
}

export const defaultMeshSettings: MeshSettings = {
  domain: 'cluster.local',
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  rootNamespace: 'istio-system',
  mixerCheckServer: '',
  mixerReportServer: '',
  disablePolicyChecks: false,
  disableMixerHttpReports: false,
  connectTimeoutMs: 10_000,
  protocolDetectionTimeoutMs: 1_000,
  outboundTrafficPolicy: 'ALLOW_ANY',
  enableAutoMtls: true,
  upgradesToHttp2: false,
  accessLogFile: '',
  accessLogFormat: '',
  accessLogEncoding: 'TEXT',
  enableTracing: false,
  pathNormalization: 'BASE',
  extensionProviders: new Map(),
  defaultServiceExportTo: ['*'],
  defaultVirtualServiceExportTo: ['*'],
  defaultDestinationRuleExportTo: ['*'],
  localityLbSetting: { enabled: true, distribute: [], failover: [], failoverPriority: [] },
  discoverySelectors: [],
}

function millisecondsOf({ seconds, nanos }: { seconds: number; nanos: number }): number {
  return seconds * 1_000 + nanos / 1_000_000
}

/** MeshConfig on top of the defaults (or what the flags say); what it leaves out stays. Throws `invalid_argument` for a selector that is none. */
export function meshSettings(config: MeshConfig, base: MeshSettings): MeshSettings {
  const { connectTimeout, protocolDetectionTimeout, outboundTrafficPolicy } = config
  const orElse = <T extends string | readonly string[]>(value: T, other: T): T => (value.length > 0 ? value : other)
  return {
    domain: base.domain,
    trustDomain: orElse(config.trustDomain, base.trustDomain),
    trustDomainAliases: orElse<readonly string[]>(config.trustDomainAliases, base.trustDomainAliases),
    rootNamespace: orElse(config.rootNamespace, base.rootNamespace),
    mixerCheckServer: config.mixerCheckServer,
    mixerReportServer: config.mixerReportServer,
    disablePolicyChecks: config.disablePolicyChecks,
    disableMixerHttpReports: config.disableMixerHttpReports,
    connectTimeoutMs: connectTimeout === undefined ? base.connectTimeoutMs : millisecondsOf(connectTimeout),
    protocolDetectionTimeoutMs:
      protocolDetectionTimeout === undefined ? base.protocolDetectionTimeoutMs : millisecondsOf(protocolDetectionTimeout),
    outboundTrafficPolicy:
      outboundTrafficPolicy === undefined
        ? base.outboundTrafficPolicy
        : outboundTrafficPolicy.mode === 1
          ? 'ALLOW_ANY'
          : 'REGISTRY_ONLY',
    enableAutoMtls: config.enableAutoMtls ?? base.enableAutoMtls,
    upgradesToHttp2: config.h2UpgradePolicy === H2UpgradePolicy.UPGRADE,
    accessLogFile: config.accessLogFile,
    accessLogFormat: config.accessLogFormat,
    accessLogEncoding: config.accessLogEncoding === 1 ? 'JSON' : 'TEXT',
    enableTracing: config.enableTracing,
    pathNormalization: pathNormalizations[config.pathNormalization?.normalization ?? 0] ?? 'BASE',
    extensionProviders: readExtensionProviders(config.extensionProviders),
    defaultServiceExportTo: orElse<readonly string[]>(config.defaultServiceExportTo, base.defaultServiceExportTo),
    defaultVirtualServiceExportTo: orElse<readonly string[]>(
      config.defaultVirtualServiceExportTo,
      base.defaultVirtualServiceExportTo,
    ),
    defaultDestinationRuleExportTo: orElse<readonly string[]>(
      config.defaultDestinationRuleExportTo,
      base.defaultDestinationRuleExportTo,
    ),
    localityLbSetting: config.localityLbSetting ?? base.localityLbSetting,
    discoverySelectors: readSelectors(config.discoverySelectors),
  }
}

function readSelectors(values: readonly unknown[]): LabelSelector[] {
  const read = z.array(labelSelectorSchema).safeParse(values)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new WeftError('invalid_argument', `the mesh configuration: ${issue?.message}`, {
    where: { path: `discoverySelectors.${issue?.path.join('.')}` },
  })
}
