/** The version of the proxy, as `--version`, the node message and `/server_info` tell it. */
export const proxyVersion = '0.1.0'

/** In the form that Envoy's `version` has: revision/version/status/type/TLS library. */
export const fullVersion = `weft/${proxyVersion}/Clean/RELEASE/OpenSSL-${process.versions.openssl}`
