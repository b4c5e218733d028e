import { X509Certificate } from 'node:crypto'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import type { DataSource } from '@weft/contracts/envoy/config/core/v3/base'
import { CertificateValidationContext, TlsCertificate } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import { SdsSecretConfig } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/secret'
import { readDataSource } from '../plan/data-source.ts'
import type { Clusters } from './clusters.ts'
import type { Listeners } from './listeners.ts'
import type { Secrets } from './secrets.ts'
import { messageType } from './validation/decode.ts'
import { findMessages } from './validation/find-messages.ts'

/** The certificates of one TLS context or secret. */
export interface CertificateFiles {
  ca: { source: DataSource; pem: Buffer }[]
  chain: { source: DataSource; pem: Buffer }[]
}

const tls = 'envoy.extensions.transport_sockets.tls.v3'

interface Holders {
  listeners: Listeners
  clusters: Clusters
  secrets: Secrets
}

/** The certificates that listeners and clusters hold, themselves or by secrets. A file that cannot be read now is left out. */
export function certificatesInUse({ listeners, clusters, secrets }: Holders): CertificateFiles[] {
  const found: CertificateFiles[] = []
  const holders: [type: string, bytes: Uint8Array][] = [
    ...listeners.active().map(({ bytes }): [string, Uint8Array] => ['envoy.config.listener.v3.Listener', bytes]),
    ...clusters.active().map(({ bytes }): [string, Uint8Array] => ['envoy.config.cluster.v3.Cluster', bytes]),
  ]
  for (const [type, bytes] of holders) {
    const desc = messageType(type)
    for (const context of findMessages(descriptors(), desc, fromBinary(desc, bytes), `${tls}.CommonTlsContext`)) {
      const common = toBinary(context.desc, context.message)
      const within = (name: string): Uint8Array[] =>
        findMessages(descriptors(), context.desc, fromBinary(context.desc, common), name).map((each) =>
          toBinary(each.desc, each.message),
        )
      const files: CertificateFiles = {
        chain: within(`${tls}.TlsCertificate`).flatMap((each) => read(TlsCertificate.decode(each).certificateChain)),
        ca: within(`${tls}.CertificateValidationContext`).flatMap((each) =>
          read(CertificateValidationContext.decode(each).trustedCa),
        ),
      }
      for (const reference of within(`${tls}.SdsSecretConfig`)) {
        const type = secrets.shown(SdsSecretConfig.decode(reference).name)?.type
        if (type?.$case === 'tlsCertificate') files.chain.push(...read(type.value.certificateChain))
        if (type?.$case === 'validationContext') files.ca.push(...read(type.value.trustedCa))
      }
      if (files.ca.length > 0 || files.chain.length > 0) found.push(files)
    }
  }
  return found
}

/** Whole days until the first of them expires; a very large number when there is none, as Envoy has it. */
export function daysUntilFirstExpires(files: readonly CertificateFiles[]): number {
  let days = 0xffff_ffff
  for (const { pem } of files.flatMap(({ ca, chain }) => [...ca, ...chain])) {
    try {
      const until = Date.parse(new X509Certificate(pem).validTo)
      days = Math.min(days, Math.max(0, Math.floor((until - Date.now()) / 86_400_000)))
    } catch {
      // What is no certificate does not expire.
    }
  }
  return days
}

function read(source: DataSource | undefined): { source: DataSource; pem: Buffer }[] {
  if (source === undefined) return []
  try {
    return [{ source, pem: readDataSource(source, 'certificate') }]
  } catch {
    return []
  }
}
