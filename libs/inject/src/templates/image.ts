import type { TemplateContext } from './context.ts'

const imageTypes = ['distroless', 'debug']

/** The proxy's image: the pod's own, one with a registry in its name, or hub, name and tag of the mesh. */
export function proxyImage(context: TemplateContext): string {
  return image(context, context.settings.values.global.proxy.image, context.proxyConfig.image?.imageType)
}

/** The image of the init container that sets the packet filter up. */
export function initImage(context: TemplateContext): string {
  return image(context, context.settings.values.global.proxy_init.image, undefined)
}

function image(context: TemplateContext, name: string, type: string | undefined): string {
  const annotations = context.pod.metadata.annotations ?? {}
  const { hub, tag, variant } = context.settings.values.global
  const wanted = annotations['sidecar.istio.io/proxyImage'] ?? name
  if (wanted.includes('/')) return wanted
  return `${hub}/${name}:${typedTag(tag, annotations['sidecar.istio.io/proxyImageType'] ?? (type || variant))}`
}

/** `1.2-debug`: the tag of a kind of image; `default` and none are the plain one. */
function typedTag(tag: string, type: string): string {
  if (type === '') return tag
  const known = imageTypes.find((each) => tag.endsWith(`-${each}`))
  const plain = known === undefined ? tag : tag.slice(0, -(known.length + 1))
  return type === 'default' ? plain : `${plain}-${type}`
}
