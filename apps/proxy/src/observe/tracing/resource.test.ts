import { OpenTelemetryConfig } from '@weft/contracts/envoy/config/trace/v3/opentelemetry'
import { StaticConfigResourceDetectorConfig } from '@weft/contracts/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/static_config_resource_detector'
import { expect, test } from 'vitest'
import { any } from '../../testing/resources.ts'
import { compileResource } from './resource.ts'

type Fields = Parameters<(typeof OpenTelemetryConfig)['fromPartial']>[0]

const prefix = 'envoy.extensions.tracers.opentelemetry.resource_detectors.v3.'
const environment = { name: 'environment', typedConfig: any(`${prefix}EnvironmentResourceDetectorConfig`, new Uint8Array()) }
const fixed = (attributes: Record<string, string>) => ({
  name: 'static',
  typedConfig: any(
    `${prefix}StaticConfigResourceDetectorConfig`,
    StaticConfigResourceDetectorConfig.encode({ attributes }).finish(),
  ),
})
const resource = (fields: Fields, attributes?: string) =>
  Object.fromEntries(
    compileResource(
      OpenTelemetryConfig.fromPartial({ setTelemetrySdkResourceAttributes: false, ...fields }),
      'tracing',
      attributes === undefined ? {} : { OTEL_RESOURCE_ATTRIBUTES: attributes },
    ),
  )

test('spans are those of the service, made by this proxy, unless that is not to be told', () => {
  expect(resource({ serviceName: 'shop', setTelemetrySdkResourceAttributes: true })).toMatchObject({
    'service.name': 'shop',
    'telemetry.sdk.name': 'weft',
  })
  expect(resource({})).toEqual({ 'service.name': 'unknown_service:envoy' })
  expect(resource({ serviceName: 'shop', setServiceNameResourceAttribute: false })).toEqual({})
})

test.each<[string, Fields, string | undefined, Record<string, string>]>([
  ['what the configuration says', { resourceDetectors: [fixed({ zone: 'z', empty: '' })] }, undefined, { zone: 'z' }],
  ['nothing of an environment that says nothing', { resourceDetectors: [environment] }, undefined, {}],
  ['pairs of the environment', { resourceDetectors: [environment] }, 'a=1, b = x%20y', { a: '1', ' b ': ' x%20y' }],
  ['no pair that is none', { resourceDetectors: [environment] }, 'a,=2,d=4=5,,e=', {}],
  ['what the last detector found', { resourceDetectors: [fixed({ a: 's', z: 's' }), environment] }, 'a=1', { a: '1', z: 's' }],
  [
    'it in place of the service',
    { resourceDetectors: [fixed({ 'service.name': 'desk' })] },
    undefined,
    { 'service.name': 'desk' },
  ],
])('detectors add %s', (_, fields, attributes, more) => {
  expect(resource({ serviceName: 'shop', ...fields }, attributes)).toEqual({ 'service.name': 'shop', ...more })
})

test('a detector that is not there is refused', () => {
  const detector = { name: 'cloud', typedConfig: any(`${prefix}DynatraceResourceDetectorConfig`, new Uint8Array()) }
  expect(() => resource({ resourceDetectors: [detector] })).toThrow("resource detector 'cloud'")
})
