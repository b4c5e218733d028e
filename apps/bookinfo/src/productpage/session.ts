import { createHmac, timingSafeEqual } from 'node:crypto'

/** The name of the cookie that holds who is signed in. */
export const sessionCookie = 'session'

const longestUserName = 64

/** Signs and reads the session cookie: `<user, base64url>.<HMAC-SHA-256, base64url>`. */
export class Sessions {
  readonly #secret: string

  constructor(secret: string) {
    this.#secret = secret
  }

  /** The cookie's value for a user. */
  sign(user: string): string {
    const payload = Buffer.from(user.slice(0, longestUserName)).toString('base64url')
    return `${payload}.${this.#mac(payload)}`
  }

  /** The user a request's `Cookie` header names; empty when there is none or the signature is not ours. */
  user(cookieHeader: string | undefined): string {
    const value = cookieValue(cookieHeader ?? '', sessionCookie)
    const [payload, mac, more] = value.split('.')
    if (!payload || !mac || more !== undefined) return ''
    const wanted = Buffer.from(this.#mac(payload))
    const given = Buffer.from(mac)
    if (wanted.length !== given.length || !timingSafeEqual(wanted, given)) return ''
    return Buffer.from(payload, 'base64url').toString()
  }

  #mac(payload: string): string {
    return createHmac('sha256', this.#secret).update(payload).digest('base64url')
  }
}

function cookieValue(header: string, name: string): string {
  for (const part of header.split(';')) {
    const at = part.indexOf('=')
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
  }
  return ''
}
