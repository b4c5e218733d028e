import type { TemplateContext } from './context.ts'

/**
 * OTEL_RESOURCE_ATTRIBUTES by OpenTelemetry's conventions for Kubernetes (service attributes), when a tracing provider of the
 * mesh asks for them; else empty.
 */
export function openTelemetryAttributes({ settings, pod, workload }: TemplateContext): string {
  const asked = settings.mesh.extensionProviders.some(
    ({ opentelemetry }) => opentelemetry?.['serviceAttributeEnrichment'] === 'OTEL_SEMANTIC_CONVENTIONS',
  )
  if (!asked) return ''
  const said = (attribute: string): string | undefined => pod.metadata.annotations?.[`resource.opentelemetry.io/${attribute}`]
  const [first, ...others] = pod.spec.containers
  const attributes = {
    'service.namespace': said('service.namespace') || workload.namespace,
    'service.version':
      said('service.version') ||
      pod.metadata.labels?.['app.kubernetes.io/version'] ||
      (first !== undefined && others.length === 0 ? imageVersion(first.image ?? '') : ''),
    'service.instance.id':
      said('service.instance.id') || (first === undefined ? '' : `${workload.namespace}.$(POD_NAME).${first.name}`),
  }
  return Object.entries(attributes)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}=${value}`)
    .join(',')
}

/** Tag and digest of an image's name, `1.2@sha256:…`; what there is of them. */
function imageVersion(image: string): string {
  const [name = '', digest = ''] = image.split('@')
  const tag = /:([^:/]+)$/.exec(name)?.[1] ?? ''
  return [tag, digest].filter((part) => part !== '').join('@')
}
