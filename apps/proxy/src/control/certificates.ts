import { X509Certificate } from 'node:crypto'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import type { DataSource } from '@weft/contracts/envoy/config/core/v3/base'
import { CertificateValidationContext, TlsCertificate } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import { SdsSecretConfig } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { clusterPrefix } from '../observe/cluster-prefix.ts'
import { readDataSource } from '../plan/data-source.ts'
import { listenerStatName } from '../plan/listener.ts'
import type { ClusterState } from './clusters.ts'
import type { ListenerState } from './listeners.ts'
import type { Secrets } from './secrets.ts'
import { messageType } from './validation/decode.ts'
import { findMessages } from './validation/find-messages.ts'

/** The certificates of one TLS context. */
export interface CertificateFiles {
  /** What the statistics of the listener or cluster that has them begin with: `cluster.a`. */
  holder: string
  ca: CertificateFile[]
  chain: CertificateFile[]
}

interface CertificateFile {
  source: DataSource
  pem: Buffer
  /** The secret that it came by, or else what Envoy calls one without a name. */
  name: string
}

const tls = 'envoy.extensions.transport_sockets.tls.v3'

interface Holders {
  listeners: { active(): readonly Pick<ListenerState, 'bytes' | 'message'>[] }
  clusters: { active(): readonly Pick<ClusterState, 'bytes' | 'message'>[] }
  secrets: Pick<Secrets, 'shown'>
}

/** Where the certificates of one TLS context come from: its own, by data source, or by the names of secrets. */
interface CertificateSources {
  readonly chain: readonly DataSource[]
  readonly ca: readonly DataSource[]
  readonly secrets: readonly string[]
}

/** The certificates that listeners and clusters hold, themselves or by secrets. A file that cannot be read now is left out. */
export function certificatesInUse({ listeners, clusters, secrets }: Holders): CertificateFiles[] {
  const found: CertificateFiles[] = []
  const holders = [
    ...listeners.active().map(({ bytes, message }) => {
      return { type: 'envoy.config.listener.v3.Listener', bytes, prefix: () => `listener.${listenerStatName(message)}` }
    }),
    ...clusters.active().map(({ bytes, message }) => {
      return { type: 'envoy.config.cluster.v3.Cluster', bytes, prefix: () => clusterPrefix(message) }
    }),
  ]
  for (const { type, bytes, prefix } of holders) {
    for (const sources of sourcesIn(type, bytes)) {
      const files: CertificateFiles = {
        holder: prefix(),
        chain: sources.chain.flatMap((source) => read(source, ownChain)),
        ca: sources.ca.flatMap((source) => read(source, ownTrust)),
      }
      for (const name of sources.secrets) {
        const type = secrets.shown(name)?.type
        if (type?.$case === 'tlsCertificate') files.chain.push(...read(type.value.certificateChain, name))
        if (type?.$case === 'validationContext') files.ca.push(...read(type.value.trustedCa, name))
      }
      if (files.ca.length > 0 || files.chain.length > 0) found.push(files)
    }
  }
  return found
}

/** What a resource says does not change: it is looked through once, however often statistics are asked for. */
const knownSources = new WeakMap<Uint8Array, readonly CertificateSources[]>()

function sourcesIn(type: string, bytes: Uint8Array): readonly CertificateSources[] {
  let sources = knownSources.get(bytes)
  if (sources === undefined) {
    sources = findSources(type, bytes)
    knownSources.set(bytes, sources)
  }
  return sources
}

function findSources(type: string, bytes: Uint8Array): CertificateSources[] {
  const desc = messageType(type)
  return findMessages(descriptors(), desc, fromBinary(desc, bytes), `${tls}.CommonTlsContext`).map((context) => {
    const common = toBinary(context.desc, context.message)
    const within = (name: string): Uint8Array[] =>
      findMessages(descriptors(), context.desc, fromBinary(context.desc, common), name).map((each) =>
        toBinary(each.desc, each.message),
      )
    return {
      chain: within(`${tls}.TlsCertificate`).flatMap((each) => TlsCertificate.decode(each).certificateChain ?? []),
      ca: within(`${tls}.CertificateValidationContext`).flatMap(
        (each) => CertificateValidationContext.decode(each).trustedCa ?? [],
      ),
      secrets: within(`${tls}.SdsSecretConfig`).map((each) => SdsSecretConfig.decode(each).name),
    }
  })
}

/** Whole days until the first of them expires; a very large number when there is none, as Envoy has it. */
export function daysUntilFirstExpires(files: readonly CertificateFiles[]): number {
  let days = 0xffff_ffff
  for (const { pem } of files.flatMap(({ ca, chain }) => [...ca, ...chain])) {
    const untilMs = expiryMs(pem)
    if (untilMs !== null) days = Math.min(days, Math.max(0, Math.floor((untilMs - Date.now()) / 86_400_000)))
  }
  return days
}

/** When each of them expires (seconds since 1970), by the gauge that says so; of several of one name the last counts, as in Envoy. */
export function expiryGauges(files: readonly CertificateFiles[]): Map<string, number> {
  const gauges = new Map<string, number>()
  for (const { holder, ca, chain } of files)
    for (const { name, pem } of [...ca, ...chain]) {
      const untilMs = expiryMs(pem)
      const gauge = `${holder}.ssl.certificate.${name}.expiration_unix_time_seconds`
      if (untilMs !== null) gauges.set(gauge, Math.floor(untilMs / 1000))
    }
  return gauges
}

/** Many clusters hold the same ones. */
const knownExpiries = new Map<string, number | null>()
const maxKnown = 1000

/** When the first certificate in a PEM expires (ms since 1970); null: there is none, and it does not. */
function expiryMs(pem: Buffer): number | null {
  const text = pem.toString('latin1')
  let untilMs = knownExpiries.get(text)
  if (untilMs === undefined) {
    try {
      untilMs = Date.parse(new X509Certificate(pem).validTo)
    } catch {
      untilMs = null
    }
    if (knownExpiries.size >= maxKnown) knownExpiries.clear()
    knownExpiries.set(text, untilMs)
  }
  return untilMs
}

/** Envoy's names have a hash at their end, which is of nothing. */
const ownChain = 'unnamed_cert_e3b0c442'
const ownTrust = 'unnamed_ca_cert_e3b0c442'

function read(source: DataSource | undefined, name: string): CertificateFile[] {
  if (source === undefined) return []
  try {
    return [{ source, name, pem: readDataSource(source, 'certificate') }]
  } catch {
    return []
  }
}
