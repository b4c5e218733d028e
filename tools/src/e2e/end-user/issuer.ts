import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type CryptoKey as JoseKey, SignJWT } from 'jose'
import Provider from 'oidc-provider'
import { send } from '../traffic.ts'

/** Whom tokens of this scenario are for. */
export const audience = 'urn:bookinfo'

/** Those who may ask the issuer for a token, with the groups that it says they are in. */
const people: Readonly<Record<string, readonly string[]>> = { ann: ['customers'], bob: ['customers', 'staff'] }
const secret = 'known-to-this-scenario-alone'

/** A real OpenID Connect issuer (oidc-provider), on a free port of 127.0.0.1, with a key of its own. */
export class Issuer {
  readonly url: string
  readonly #key: JoseKey
  readonly #kid: string
  readonly #close: () => Promise<void>

  private constructor(url: string, key: JoseKey, kid: string, close: () => Promise<void>) {
    this.url = url
    this.#key = key
    this.#kid = kid
    this.#close = close
  }

  static async start(kid: string): Promise<Issuer> {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true })
    // The issuer's name has its port, which is known once it listens.
    let answer: ReturnType<Provider['callback']> = (_request, response) => void response.writeHead(503).end()
    const server = createServer((request, response) => answer(request, response))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const provider = new Provider(url, {
      clients: Object.keys(people).map((name) => ({
        client_id: name,
        client_secret: secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      })),
      jwks: { keys: [{ ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' }] },
      cookies: { keys: [secret] },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => audience,
          getResourceServerInfo: () => ({
            scope: 'read',
            audience,
            accessTokenFormat: 'jwt',
            accessTokenTTL: 600,
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
      extraTokenClaims: (_context, { clientId = '' }) => ({ groups: people[clientId] ?? [] }),
    })
    answer = provider.callback()
    const close = async (): Promise<void> => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
    return new Issuer(url, privateKey, kid, close)
  }

  get jwksUri(): string {
    return `${this.url}/jwks`
  }

  /** What the issuer gives someone who proves who they are. */
  async token(who: string): Promise<string> {
    const basic = Buffer.from(`${who}:${secret}`).toString('base64')
    const headers = { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' }
    const body = new URLSearchParams({ grant_type: 'client_credentials', scope: 'read', resource: audience }).toString()
    const answer = await send('POST', `${this.url}/token`, headers, body)
    const { access_token: token }: { access_token?: unknown } = JSON.parse(answer.body)
    if (answer.status !== 200 || typeof token !== 'string') throw new Error(`the issuer gives no token: ${answer.body}`)
    return token
  }

  /** A token with the issuer's own signature that says what the issuer would not say now. */
  async sign(claims: Record<string, unknown>, issuer = this.url): Promise<string> {
    return new SignJWT({ iss: issuer, sub: 'bob', aud: audience, groups: people['bob'], ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: this.#kid, typ: 'at+jwt' })
      .sign(this.#key)
  }

  close(): Promise<void> {
    return this.#close()
  }
}

/** The same token with other claims, and the signature it had. */
export function tampered(token: string, claims: Record<string, unknown>): string {
  const [head, payload = '', signature] = token.split('.')
  const stated: Record<string, unknown> = JSON.parse(Buffer.from(payload, 'base64url').toString())
  return [head, encoded({ ...stated, ...claims }), signature].join('.')
}

/** The same claims without a signature. */
export function unsigned(token: string): string {
  return `${encoded({ alg: 'none', typ: 'JWT' })}.${token.split('.')[1]}.`
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
