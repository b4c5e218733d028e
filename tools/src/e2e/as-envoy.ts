import { CheckFailed } from './scenario.ts'

/**
 * The bootstrap of our own proxies, for real Envoy: the secrets that Pilot's resources name are asked for without
 * metadata of ours there, so the join token is put on every request of the SDS cluster.
 */
export function asEnvoy(bootstrap: Record<string, unknown>, admin: number, joinToken: string): unknown {
  const copy = JSON.parse(JSON.stringify(bootstrap)) as {
    node: { metadata: Record<string, unknown> }
    admin: unknown
    static_resources: { clusters: { name: string; typed_extension_protocol_options: Record<string, Record<string, unknown>> }[] }
  }
  delete copy.node.metadata['WEFT_PROXY']
  copy.admin = { address: { socket_address: { address: '127.0.0.1', port_value: admin } } }
  const secrets = copy.static_resources.clusters.find((cluster) => cluster.name === 'sds-grpc')
  const options = secrets?.typed_extension_protocol_options['envoy.extensions.upstreams.http.v3.HttpProtocolOptions']
  if (options === undefined) throw new CheckFailed('the bootstrap has no sds-grpc cluster')
  options['http_filters'] = [
    {
      name: 'token',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
        mutations: {
          request_mutations: [
            {
              append: {
                header: { key: 'authorization', value: `Bearer ${joinToken}` },
                append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
              },
            },
          ],
        },
      },
    },
    {
      name: 'codec',
      typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec' },
    },
  ]
  return copy
}
