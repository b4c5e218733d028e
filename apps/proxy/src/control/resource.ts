import type { ConfigSource } from '@weft/contracts/envoy/config/core/v3/config_source'
import { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { SdsSecretConfig, type Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { WeftError } from '@weft/service/errors'
import { typeUrls } from '@weft/xds/types'
import { checkResource } from '../plan/check.ts'
import type { ResourceKind } from '../threads.ts'
import { checkCrossFieldRules } from './cross-field-rules.ts'
import { inspectBinary } from './validation/decode.ts'
import { type Findings, referenceTypes } from './validation/inspect.ts'
import { formatPath } from './validation/problem.ts'

/** The type URL of each kind of resource. */
export const kindUrls: Readonly<Record<ResourceKind, string>> = {
  listener: typeUrls.listener,
  route: typeUrls.route,
  cluster: typeUrls.cluster,
  endpoints: typeUrls.endpoint,
  secret: typeUrls.secret,
  extension: typeUrls.extension,
}

/** A reference to a resource that comes from elsewhere. */
export interface Reference {
  name: string
  /** Undefined: a static one of the bootstrap. */
  source: ConfigSource | undefined
}

/** A reference to a secret of one kind. */
export interface SecretReference extends Reference {
  holds: SecretKind | undefined
}

/** What a secret holds. */
export type SecretKind = NonNullable<Secret['type']>['$case']

/** What a secret has to hold, by the start of the field that refers to it. */
const secretKinds: readonly (readonly [field: string, kind: SecretKind])[] = [
  ['tls_certificate', 'tlsCertificate'],
  ['validation_context', 'validationContext'],
  ['session_ticket_keys', 'sessionTicketKeys'],
  // Of credentials that requests go on with.
  ['credential', 'genericSecret'],
]

/** A reference to a route configuration, and the prefix under which its fetching is counted. */
export interface RouteReference extends Reference {
  statPrefix: string
}

/** A reference to the configuration of an HTTP filter. */
export interface ExtensionReference extends Reference {
  /** Types that it may be of. */
  types: string[]
  /** A default holds until it comes. */
  goesLiveWithDefault: boolean
}

/** A resource that passed every check that can be made without opening anything. */
export interface CheckedResource {
  kind: ResourceKind
  name: string
  /** The version it came with; empty for static ones. */
  version: string
  bytes: Uint8Array
  secrets: SecretReference[]
  routes: RouteReference[]
  extensions: ExtensionReference[]
}

/** What the checks take for granted or only tell. */
export interface CheckOptions {
  /** Refuses fields that this proxy's API does not know (`--reject-unknown-dynamic-fields`). */
  rejectUnknown?: boolean
  warn?: (text: string) => void
  /** Hears that the resource breaks the API's own constraints, before it is refused for it. */
  onBroken?: () => void
}

/**
 * Checks a resource: the API's constraints, what this proxy supports, and that a worker could compile it. Throws WeftError
 * that names the resource and every problem with its path.
 */
export function checkedResource(
  kind: ResourceKind,
  name: string,
  version: string,
  bytes: Uint8Array,
  options: CheckOptions = {},
): CheckedResource {
  try {
    const { references, warnings } = inspectBinary(kindUrls[kind].slice('type.googleapis.com/'.length), bytes, options.onBroken)
    for (const warning of warnings) {
      const text = `${formatPath(warning.path)}: ${warning.message}`
      if (options.rejectUnknown === true && warning.unknownField === true) throw new WeftError('invalid_argument', text)
      options.warn?.(`${kind} ${name}: ${text}`)
    }
    checkCrossFieldRules(kind, bytes)
    checkResource(kind, bytes)
    return { kind, name, version, bytes, ...readReferences(references) }
  } catch (thrown) {
    const error = WeftError.from(thrown, 'invalid_argument')
    throw new WeftError(error.code, `${kind} ${name === '' ? '(no name)' : name}: ${error.describe()}`, { cause: thrown })
  }
}

function readReferences(references: Findings['references']): Pick<CheckedResource, 'secrets' | 'routes' | 'extensions'> {
  const extensions: ExtensionReference[] = []
  const secrets: SecretReference[] = []
  const routes: RouteReference[] = []
  for (const { type, bytes, field } of references) {
    if (type === referenceTypes.secret) {
      const { name, sdsConfig } = SdsSecretConfig.decode(bytes)
      const holds = secretKinds.find(([start]) => field.startsWith(start))?.[1]
      secrets.push({ name, source: sdsConfig, holds })
    } else {
      const { statPrefix, routeSpecifier, httpFilters } = HttpConnectionManager.decode(bytes)
      for (const { name, configType } of httpFilters) {
        if (configType?.$case !== 'configDiscovery') continue
        const { configSource, defaultConfig, applyDefaultConfigWithoutWarming, typeUrls: types } = configType.value
        const goesLiveWithDefault = applyDefaultConfigWithoutWarming && defaultConfig !== undefined
        extensions.push({ name, source: configSource, types, goesLiveWithDefault })
      }
      if (routeSpecifier?.$case !== 'rds') continue
      routes.push({ name: routeSpecifier.value.routeConfigName, source: routeSpecifier.value.configSource, statPrefix })
    }
  }
  return { secrets, routes, extensions }
}

/** Throws WeftError for a secret that does not hold what is asked of it. */
export function checkSecretKind({ name, holds }: SecretReference, kind: SecretKind | undefined): void {
  if (holds !== undefined && kind !== holds)
    throw new WeftError('invalid_argument', `secret ${name} holds a ${kind ?? 'nothing'}, where a ${holds} is asked for`)
}

/** Whether two resources are the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0
}
