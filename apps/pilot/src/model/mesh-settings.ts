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
  readonly outboundTrafficPolicy: 'ALLOW_ANY' | 'REGISTRY_ONLY'
  /** Sidecars use mutual TLS towards endpoints that take it, without a DestinationRule that says so. */
  readonly enableAutoMtls: boolean
  /** Empty: no access log. */
  readonly accessLogFile: string
  readonly accessLogFormat: string
  readonly accessLogEncoding: 'TEXT' | 'JSON'
  readonly enableTracing: boolean
  readonly defaultServiceExportTo: readonly string[]
  readonly defaultVirtualServiceExportTo: readonly string[]
  readonly defaultDestinationRuleExportTo: readonly string[]
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
  outboundTrafficPolicy: 'ALLOW_ANY',
  enableAutoMtls: true,
  accessLogFile: '',
  accessLogFormat: '',
  accessLogEncoding: 'TEXT',
  enableTracing: false,
  defaultServiceExportTo: ['*'],
  defaultVirtualServiceExportTo: ['*'],
  defaultDestinationRuleExportTo: ['*'],
}
