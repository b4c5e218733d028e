import type { InjectionSettings } from '@weft/inject/settings'
import { WeftError } from '@weft/service/errors'
import { z } from 'zod'

const quantities = z.record(z.string(), z.union([z.string(), z.number()]).transform(String))
const whole = (least: number) => z.int().min(least).max(1_000)

const partSchema = (resources: { cpu: string; memory: string }) => ({
  autoscaleMin: whole(1).default(1),
  autoscaleMax: whole(1).default(5),
  resources: z.looseObject({ requests: quantities.optional(), limits: quantities.optional() }).default({ requests: resources }),
})

/** What an installation is made of, beside how it injects. */
const installSchema = z.looseObject({
  base: z.looseObject({ enableIstioConfigCRDs: z.boolean().default(true) }).prefault({}),
  pilot: z.looseObject({ ...partSchema({ cpu: '250m', memory: '256Mi' }) }).prefault({}),
  mixer: z.looseObject({ enabled: z.boolean().default(true), ...partSchema({ cpu: '100m', memory: '128Mi' }) }).prefault({}),
  citadel: z
    .looseObject({
      storage: z.string().default('1Gi'),
      storageClass: z.string().default(''),
      resources: z.looseObject({ requests: quantities.optional(), limits: quantities.optional() }).default({
        requests: { cpu: '100m', memory: '128Mi' },
      }),
    })
    .prefault({}),
  ingressGateway: z
    .looseObject({
      enabled: z.boolean().default(true),
      serviceType: z.enum(['LoadBalancer', 'NodePort', 'ClusterIP']).default('LoadBalancer'),
      ...partSchema({ cpu: '100m', memory: '128Mi' }),
    })
    .prefault({}),
})

export interface InstallSettings {
  injection: InjectionSettings
  parts: z.infer<typeof installSchema>
  /** MeshConfig, as YAML; the default one names no more than where Mixer is. */
  meshConfig: string
  namespace: string
  /** `-canary`, or nothing for the default control plane. */
  suffix: string
}

/** The defaults of an installation, by which `--set` knows the names. */
export function installDefaults(): z.infer<typeof installSchema> {
  return installSchema.parse({})
}

/** Reads what is to be installed from the values that injection was read from. Throws `invalid_argument` for wrong ones. */
export function installSettings(injection: InjectionSettings, meshConfig: string | undefined): InstallSettings {
  const read = installSchema.safeParse(injection.values)
  if (!read.success) {
    const [issue] = read.error.issues
    throw new WeftError('invalid_argument', `the values: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const namespace = injection.values.global.istioNamespace
  const { revision } = injection
  for (const [what, name] of [
    ['namespace', namespace],
    ['revision', revision || 'default'],
  ] as const) {
    if (!/^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$/.test(name)) {
      throw new WeftError('invalid_argument', `the ${what} '${name}' is no name that Kubernetes takes`, {
        hint: 'use lower-case letters, digits and dashes',
      })
    }
  }
  const mixer = `mixer.${namespace}.svc.${injection.values.global.proxy.clusterDomain}:9091`
  const withMixer = `mixerCheckServer: ${mixer}\nmixerReportServer: ${mixer}\n`
  return {
    injection,
    parts: read.data,
    meshConfig: meshConfig ?? `rootNamespace: ${namespace}\n${read.data.mixer.enabled ? withMixer : ''}`,
    namespace,
    suffix: revision === '' || revision === 'default' ? '' : `-${revision}`,
  }
}
