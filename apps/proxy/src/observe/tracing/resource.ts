import type { OpenTelemetryConfig } from '@weft/contracts/envoy/config/trace/v3/opentelemetry'
import { StaticConfigResourceDetectorConfig } from '@weft/contracts/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/static_config_resource_detector'
import type { Any } from '@weft/contracts/google/protobuf/any'
import { unsupported } from '../../plan/problems.ts'
import { proxyVersion } from '../../version.ts'

const detectors = 'envoy.extensions.tracers.opentelemetry.resource_detectors.v3.'

/**
 * The attributes of what makes the spans, by name: those of its own, and over them what each detector finds, in order. A
 * detector's attribute without a name or a value is none. `environment`: where OTEL_RESOURCE_ATTRIBUTES is looked for.
 */
export function compileResource(
  source: OpenTelemetryConfig,
  path: string,
  environment: NodeJS.ProcessEnv = process.env,
): ReadonlyMap<string, string> {
  const resource = new Map<string, string>()
  if (source.setServiceNameResourceAttribute !== false)
    resource.set('service.name', source.serviceName === '' ? 'unknown_service:envoy' : source.serviceName)
  if (source.setTelemetrySdkResourceAttributes !== false) {
    resource.set('telemetry.sdk.language', 'nodejs')
    resource.set('telemetry.sdk.name', 'weft')
    resource.set('telemetry.sdk.version', proxyVersion)
  }
  source.resourceDetectors.forEach(({ name, typedConfig }, i) => {
    for (const [key, value] of found(name, typedConfig, `${path}.resource_detectors[${i}]`, environment))
      if (key !== '' && value !== '') resource.set(key, value)
  })
  return resource
}

function found(name: string, config: Any | undefined, path: string, environment: NodeJS.ProcessEnv): [string, string][] {
  switch (config?.typeUrl.split('/').pop()) {
    case `${detectors}StaticConfigResourceDetectorConfig`:
      return Object.entries(StaticConfigResourceDetectorConfig.decode(config.value).attributes)
    case `${detectors}EnvironmentResourceDetectorConfig`:
      // A pair with more than one equals sign is none, and nothing is decoded.
      return (environment['OTEL_RESOURCE_ATTRIBUTES'] ?? '').split(',').flatMap((pair) => {
        const [key = '', value = '', ...rest] = pair.split('=')
        return rest.length > 0 ? [] : [[key, value] as [string, string]]
      })
    default:
      throw unsupported(path, `resource detector '${name}'`)
  }
}
