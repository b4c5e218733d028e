import type { Node } from '@weft/contracts/envoy/config/core/v3/base'
import { peerIdentity } from '@weft/identity/peer-identity'
import { tryParseSpiffeId } from '@weft/identity/spiffe-id'
import type { Resource } from '@weft/xds/cache/resource'
import type { Snapshot as XdsSnapshot } from '@weft/xds/cache/snapshot'
import { createXdsService, type XdsClient, type XdsServerOptions } from '@weft/xds/server/server'
import { typeUrls } from '@weft/xds/types'
import { originsOf } from '../build/resource-cache.ts'
import { Pushes } from '../push/pushes.ts'
import { parseNode } from '../scope/parse-node.ts'
import type { ProxyNode } from '../scope/proxy-node.ts'
import type { NodeRef, ResourceType } from '../status/push-status.ts'
import { followCredentialRight } from './credential-right.ts'
import type { CreateDiscovery, DiscoveryOptions } from './discovery-contract.ts'
import { checkIdentity } from './identity-check.ts'

const resourceTypes: ReadonlyMap<string, ResourceType> = new Map([
  [typeUrls.cluster, 'Cluster'],
  [typeUrls.endpoint, 'ClusterLoadAssignment'],
  [typeUrls.listener, 'Listener'],
  [typeUrls.route, 'RouteConfiguration'],
  [typeUrls.secret, 'Secret'],
  [typeUrls.extension, 'ExtensionConfig'],
])

/** Most resources that are named for one refusal, when the proxy's words name none. */
const maxBlamed = 20

/** The Aggregated Discovery Service of Pilot, and what it reports to the observer. */
export const createDiscovery: CreateDiscovery = (options) => {
  const pushes = new Pushes({ snapshots: options.snapshots, logger: options.logger })
  const service = createXdsService({ connect: (client) => connect(client, pushes, options) })
  options.lifecycle.onStop('pushes', () => {
    pushes.close()
    service.close()
  })
  return { services: [service] }
}

/** Generations of what streams were given, by the very map they hold. */
const generations = new WeakMap<XdsSnapshot, number>()

function connect(client: XdsClient, pushes: Pushes, options: DiscoveryOptions): ReturnType<XdsServerOptions['connect']> {
  const { observer, logger, allowUnauthenticated, registration, credentials } = options
  const proxy = parseNode(client.node)
  const { certificate } = client.peer
  const identity =
    certificate === undefined ? undefined : peerIdentity({ getAuthContext: () => ({ sslPeerCertificate: { raw: certificate } }) })
  checkIdentity(proxy, identity, allowUnauthenticated)
  const registered = registration.connected(proxy)

  const node: NodeRef = { connectionId: `${proxy.id}-${client.id}`, nodeId: proxy.id }
  const inFlight = new Map<string, readonly Resource[]>()
  observer.connected(node, { namespace: proxy.namespace, version: versionOf(client.node), isWeft: proxy.isWeft })
  logger.info({ proxy: proxy.id, peer: client.peer.address, identity, variant: client.variant }, 'proxy connected')
  const follow = (as: ProxyNode): (() => void) =>
    pushes.follow({
      proxy: as,
      update: (resources, generation) => {
        generations.set(resources, generation)
        client.stream.update(resources)
      },
    })
  let unfollow = follow(proxy)
  const serviceAccount = identity === undefined ? undefined : tryParseSpiffeId(identity)?.workload?.serviceAccount
  const stopAsking =
    credentials === undefined || serviceAccount === undefined
      ? undefined
      : followCredentialRight({
          ...{ credentials, namespace: proxy.namespace, serviceAccount, logger },
          changed: (may) => {
            unfollow()
            unfollow = follow({ ...proxy, credentialAccount: may ? serviceAccount : undefined })
          },
        })
  const typeOf = (typeUrl: string, act: (type: ResourceType) => void): void => {
    const type = resourceTypes.get(typeUrl)
    if (type !== undefined) act(type)
  }
  return {
    sent: (typeUrl, nonce, update, snapshot) => {
      inFlight.set(typeUrl, update.changed)
      typeOf(typeUrl, (type) => observer.sent(node, type, generations.get(snapshot) ?? 0, nonce))
    },
    unchanged: (typeUrl, snapshot) => typeOf(typeUrl, (type) => observer.unchanged(node, type, generations.get(snapshot) ?? 0)),
    accepted: (typeUrl, nonce) => {
      inFlight.delete(typeUrl)
      typeOf(typeUrl, (type) => observer.acked(node, type, nonce))
    },
    refused: (typeUrl, nonce, { message }) => {
      const blamed = blame(inFlight.get(typeUrl) ?? [], message)
      inFlight.delete(typeUrl)
      logger.warn({ proxy: proxy.id, type: resourceTypes.get(typeUrl), message }, 'proxy refused what it was sent')
      typeOf(typeUrl, (type) => observer.nacked(node, type, nonce, message, blamed))
    },
    unserved: (typeUrl) => logger.debug({ proxy: proxy.id, typeUrl }, 'proxy asks for a type that is not served'),
    health: (problem) => registered.health(problem),
    closed: () => {
      stopAsking?.()
      unfollow()
      registered.end()
      observer.disconnected(node)
      logger.info({ proxy: proxy.id }, 'proxy disconnected')
    },
  }
}

/** The resources a refusal is about: those its message names, else all that were new in the push. */
function blame(resources: readonly Resource[], message: string): { name: string; objects: readonly string[] }[] {
  const named = resources.filter(({ name }) => message.includes(name))
  const blamed = (named.length > 0 ? named : resources).slice(0, maxBlamed)
  return blamed.map((resource) => ({ name: resource.name, objects: originsOf(resource) }))
}

function versionOf({ userAgentName, userAgentVersionType }: Node): string {
  if (userAgentVersionType?.$case === 'userAgentVersion') return `${userAgentName} ${userAgentVersionType.value}`.trim()
  const version = userAgentVersionType?.value.version
  return version === undefined ? userAgentName : `${userAgentName} ${version.majorNumber}.${version.minorNumber}.${version.patch}`
}
