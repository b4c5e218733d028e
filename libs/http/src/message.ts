import { HeaderTable } from './header-table.ts'

/** What a request begins with, the same for every codec. `host` is `authority`; it does not stand among the headers. */
export class RequestHead {
  method = ''
  /** The request target in origin form (`/a?b`), `*`, or empty for CONNECT. */
  path = ''
  /** Host header or :authority, as sent. */
  authority = ''
  /** There is a Host, and it is empty. */
  emptyAuthority = false
  /** What a codec took for `path` and `authority`, and has looked through: no byte of it ends a line. */
  receivedPath = ''
  receivedAuthority = ''
  /** It came as a request to go on by another protocol: what follows the head is no body. A header put there on the way makes no such of it. */
  upgrades = false
  scheme: 'http' | 'https' | string = 'http'
  version: 10 | 11 | 20 = 11
  readonly headers = new HeaderTable()

  clear(): void {
    this.method = ''
    this.path = ''
    this.authority = ''
    this.emptyAuthority = false
    this.upgrades = false
    this.receivedPath = ''
    this.receivedAuthority = ''
    this.scheme = 'http'
    this.version = 11
    this.headers.clear()
  }
}

/** What a response begins with, the same for every codec. */
export class ResponseHead {
  status = 0
  version: 10 | 11 | 20 = 11
  readonly headers = new HeaderTable()

  clear(): void {
    this.status = 0
    this.version = 11
    this.headers.clear()
  }
}
