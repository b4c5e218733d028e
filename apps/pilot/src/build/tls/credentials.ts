import { Secret } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import {
  ServerTLSSettings_TLSmode as ServerMode,
  type ServerTLSSettings,
} from '@weft/contracts/istio/networking/v1alpha3/gateway'
import {
  authoritiesSecret,
  authoritiesSuffix,
  type Credential,
  certificateSecret,
  credentialKey,
} from '../../credentials/credential.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Scope } from '../../scope/scope.ts'
import type { Recipe } from '../resource-cache.ts'

/** The secret that holds the certificate of a named credential, as Istio's gateways ask for it. */
export function certificateName(name: string): string {
  return name.includes('://') ? name : `kubernetes://${name}`
}

/** The secret that holds the authorities of a named credential. */
export function authoritiesName(name: string): string {
  return `${certificateName(name)}${authoritiesSuffix}`
}

/** The credentials that a server's certificates are in; one of each kind of key. */
export function certificateNames({ credentialName, credentialNames }: ServerTLSSettings): readonly string[] {
  return credentialName === '' ? credentialNames : [credentialName]
}

/** The credential that names the authorities of a server's clients, where it asks for their certificates by one. */
export function authoritiesOf(settings: ServerTLSSettings): string | undefined {
  if (settings.mode !== ServerMode.MUTUAL && settings.mode !== ServerMode.OPTIONAL_MUTUAL) return undefined
  return settings.caCertCredentialName || certificateNames(settings)[0]
}

/**
 * The secrets a proxy gets of Pilot: those that what it serves or calls names, of its own namespace, where its service account
 * may read them; one that is for its account alone goes first. Nobody gets one by asking for its name.
 */
export function credentialSecrets(scope: Scope): Recipe[] {
  const { proxy, snapshot } = scope
  const { namespace, credentialAccount } = proxy
  if (credentialAccount === undefined) return []
  const names = new Set(clientCredentials(snapshot))
  const authorities = new Set(names)
  for (const { gateway, index } of scope.gatewayServers) {
    const tls = gateway.spec.servers[index]?.tls
    if (tls === undefined) continue
    for (const name of certificateNames(tls)) names.add(name)
    const clients = authoritiesOf(tls)
    if (clients !== undefined) authorities.add(clients)
  }
  const find = (name: string): Credential | undefined =>
    snapshot.credentials.get(credentialKey(namespace, credentialAccount, name)) ??
    snapshot.credentials.get(credentialKey(namespace, undefined, name))
  const recipes: Recipe[] = []
  for (const name of names) {
    const credential = find(name)
    if (credential !== undefined) recipes.push(...recipe(certificateName(name), credential, certificateSecret))
  }
  for (const name of authorities) {
    // A secret of their own may hold them.
    const credential = find(`${name}${authoritiesSuffix}`) ?? find(name)
    if (credential !== undefined) recipes.push(...recipe(authoritiesName(name), credential, authoritiesSecret))
  }
  return recipes
}

function recipe(
  name: string,
  credential: Credential,
  secretOf: (name: string, credential: Credential) => Secret | undefined,
): Recipe[] {
  const secret = secretOf(name, credential)
  if (secret === undefined) return []
  const origins = [`Secret/${credential.namespace}/${credential.name}`]
  return [{ name, key: credential.version, origins, build: () => Secret.encode(secret).finish() }]
}

const called = new WeakMap<Snapshot['destinationRules'], readonly string[]>()

/** Credentials that DestinationRules name for calls. */
function clientCredentials({ destinationRules }: Snapshot): readonly string[] {
  let names = called.get(destinationRules)
  if (names === undefined) {
    const policies = destinationRules.flatMap(({ spec }) => [spec.trafficPolicy, ...spec.subsets.map((one) => one.trafficPolicy)])
    const settings = policies.flatMap((policy) => [policy?.tls, ...(policy?.portLevelSettings.map(({ tls }) => tls) ?? [])])
    names = [...new Set(settings.flatMap((tls) => (tls === undefined || tls.credentialName === '' ? [] : [tls.credentialName])))]
    called.set(destinationRules, names)
  }
  return names
}
