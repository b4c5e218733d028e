/** TLS sessions with endpoints that may be resumed, the newest first: as many as `max_session_keys` says. */
export class UpstreamSessions {
  private kept: { serverName: string; session: Buffer; once: boolean }[] = []
  private readonly most: number

  constructor(most: number) {
    this.most = most
  }

  /** `once`: it is good for one resumption, as those of TLS 1.3 are (RFC 8446 appendix C.4). */
  add(serverName: string, session: Buffer, once: boolean): void {
    if (this.most === 0) return
    this.kept.unshift({ serverName, session, once })
    if (this.kept.length > this.most) this.kept.length = this.most
  }

  /** One with an endpoint of this name; undefined: there is none. */
  take(serverName: string): Buffer | undefined {
    const at = this.kept.findIndex((one) => one.serverName === serverName)
    const found = this.kept[at]
    if (found?.once === true) this.kept.splice(at, 1)
    return found?.session
  }

  clear(): void {
    this.kept = []
  }
}
