/** As much of oidc-provider as the scenario uses; the package has no types of its own. */
declare module 'oidc-provider' {
  import type { RequestListener } from 'node:http'

  interface Token {
    readonly clientId?: string
  }

  interface Configuration {
    clients: readonly Record<string, unknown>[]
    jwks: { keys: readonly object[] }
    cookies: { keys: readonly string[] }
    features: Record<string, object>
    scopes?: readonly string[]
    extraTokenClaims?(context: unknown, token: Token): Record<string, unknown> | undefined
  }

  export default class Provider {
    constructor(issuer: string, configuration: Configuration)
    callback(): RequestListener
  }
}
