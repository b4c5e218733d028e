import { randomFillSync, type X509Certificate } from 'node:crypto'
import { constants } from 'node:os'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { PeerJudge, Presented } from '../plan/peer-trust.ts'
import { systemFailure } from '../transport/system-failure.ts'
import { certificateOf } from './known-certificates.ts'
import { isKnownChain, keepChain } from './known-chains.ts'
import {
  contextAddress,
  controls,
  failWithoutCertificate,
  hasEnded,
  noAutoChain,
  type OpenSsl,
  openSsl,
  readOnlyMemory,
  systemFailed,
  verifyPeer,
  wantsReading,
  wantsWriting,
} from './openssl.ts'
import { signatureName } from './signature-names.ts'
import { verifyError, verifyProblem, verifyWord } from './verify-errors.ts'

/**
 * TLS of one connection by Node's OpenSSL, apart from any socket: bytes of the peer go in, bytes for the peer come out, and those of
 * the connection's user the other way. Against Node's TLSSocket it saves a stream and its copies, and it can turn a peer away within
 * the handshake, by the alert that says why.
 */

/** Who is told of what a session makes of bytes. */
export interface TlsUser {
  /** Bytes for the peer, valid during the call. */
  transmit(bytes: Buffer, start: number, end: number): void
  /** The descriptor of a socket that bytes for the peer may be written to at once; -1: they are to be transmitted. */
  readonly writableFd: number
}

/** What a server's session is made by. */
export interface ServerTls {
  readonly context: SecureContext
  /** Protocols of ours, the dearest first; none: ALPN is not answered. */
  readonly alpn: readonly string[]
  /** Judges a client's certificate; null: none is asked for. */
  readonly judge: PeerJudge | null
  /** A client has to show one. */
  readonly requiresCertificate: boolean
  /** A chain that was found good is good as long as its dates are: there are no revocation lists, which tell more as time goes by. */
  readonly keepsChains: boolean
  /** Takes lines of the handshake's secrets. */
  readonly keyLog: ((line: Buffer) => void) | null
  /** The keys of session tickets (a name, an HMAC key and an AES key of 16 bytes each): new ones are by the first; of one alone the context knows. */
  readonly ticketKeys: readonly Buffer[]
  /** What is to be stapled to a certificate of ours; null: nothing. */
  staple(leaf: Buffer): Buffer | null
}

/** How far a session is. */
export type TlsState = 'handshake' | 'open' | 'ended' | 'failed'

/** Plain bytes that `receive` gave stand here, from its start on. */
export const plainBytes = Buffer.allocUnsafeSlow(128 * 1024)
/** The most that `receive` takes at once: with a record that was begun before, what comes of it has room there. */
export const maxReceive = 64 * 1024
/** Room that a read of OpenSSL needs to give a whole record. */
const recordSize = 16 * 1024
const applicationData = 23
const headerSize = 5

/** What belongs to a thread: BIOs that all sessions share, for they are empty again when a call is over, and where bytes go through. */
interface Shared {
  readonly ssl: OpenSsl
  readonly readBio: number
  /** What there is to read from it. */
  readonly input: BioInput
  readonly writeBio: number
  readonly plainAt: number
  readonly encrypted: Buffer
  readonly encryptedAt: number
  readonly scratch: Buffer
  readonly scratchAt: number
  /** A pointer that OpenSSL takes by its place. */
  readonly cell: Buffer
  readonly cellAt: number
  readonly callbacks: { verify: number; alpn: number; keyLog: number; status: number; ticket: number }
}

let shared: Shared | null | undefined
/** Whose call into OpenSSL is under way: its callbacks are for this one. */
let current: TlsSession | null = null
/** Contexts that OpenSSL calls back for, and where they are. */
const prepared = new WeakMap<SecureContext, number>()

/** Where buffers are: nearly always one is asked for, which all connections read to, or write from. */
class Addresses {
  private last: Buffer | null = null
  private at = 0

  of(bytes: Buffer, ssl: OpenSsl): number {
    if (bytes !== this.last) {
      this.last = bytes
      this.at = ssl.address(bytes)
    }
    return this.at
  }
}

const received = new Addresses()
const toSend = new Addresses()

/** The memory that a BIO gives bytes from, a `BUF_MEM` of OpenSSL's: how many, where they are, and how many there is room for. */
class BioInput {
  readonly memory = Buffer.alloc(4 * 8)
  private readonly words = new Uint32Array(this.memory.buffer, this.memory.byteOffset, 6)

  set(address: number, length: number): void {
    const { words } = this
    words[0] = length
    words[2] = address % 2 ** 32
    words[3] = address / 2 ** 32
    words[4] = length
  }

  clear(): void {
    this.words[0] = 0
  }
}

/** Whether this thread has TLS of its own. */
export function hasOwnTls(): boolean {
  shared ??= share()
  return shared !== null
}

function share(): Shared | null {
  const ssl = openSsl()
  if (ssl === null || contextAddress(createSecureContext()) === null) return null
  const encrypted = Buffer.allocUnsafeSlow(256 * 1024)
  const scratch = Buffer.allocUnsafeSlow(128 * 1024)
  const cell = Buffer.alloc(8)
  const callbacks = {
    verify: ssl.callback('int', ['pointer', 'pointer'], (store: number) => guarded(0, () => current?.verify(store) ?? 0)),
    alpn: ssl.callback(
      'int',
      ['pointer', 'pointer', 'pointer', 'pointer', 'int', 'pointer'],
      (_ssl: number, out: number, outLength: number, offered: number, length: number) =>
        guarded(notAcknowledged, () => current?.chooseAlpn(out, outLength, offered, length) ?? notAcknowledged),
    ),
    keyLog: ssl.callback('void', ['pointer', 'text'], (_ssl: number, line: string) =>
      guarded(undefined, () => current?.logKey(line)),
    ),
    ticket: ssl.callback(
      'int',
      ['pointer', 'pointer', 'pointer', 'pointer', 'pointer', 'int'],
      (_ssl: number, name: number, iv: number, cipher: number, hmac: number, encrypts: number) =>
        guarded(noTicket, () => current?.keyTicket(name, iv, cipher, hmac, encrypts === 1) ?? noTicket),
    ),
    status: ssl.callback('int', ['pointer', 'pointer'], () =>
      guarded(notAcknowledged, () => current?.giveStatus() ?? notAcknowledged),
    ),
  }
  const readBio = ssl.newMemoryBio()
  const input = new BioInput()
  ssl.bioControl(readBio, controls.setBioMemory, 0, ssl.address(input.memory))
  ssl.setBioFlags(readBio, readOnlyMemory)
  return {
    ssl,
    readBio,
    input,
    writeBio: ssl.newMemoryBio(),
    plainAt: ssl.address(plainBytes),
    encrypted,
    encryptedAt: ssl.address(encrypted),
    scratch,
    scratchAt: ssl.address(scratch),
    cell,
    cellAt: ssl.address(cell),
    callbacks,
  }
}

/** SSL_TLSEXT_ERR_OK and SSL_TLSEXT_ERR_NOACK. */
const acknowledged = 0
const notAcknowledged = 3
/** Of a ticket: its key is not known (a new one is not made), is known, and is another than that of new ones. */
const noTicket = 0
const goodTicket = 1
const oldTicket = 2
const ticketPart = 16

/** Nothing may be thrown through OpenSSL: what can't be judged is refused. */
function guarded<T>(refusal: T, call: () => T): T {
  try {
    return call()
  } catch (error) {
    setImmediate(() => {
      throw error
    })
    return refusal
  }
}

/** Has OpenSSL call us in handshakes of a context, and not Node, which would look for a socket of its own; gives where the context is. */
function prepare({ ssl, callbacks }: Shared, { context, keyLog, ticketKeys }: ServerTls): number {
  const known = prepared.get(context)
  if (known !== undefined) return known
  const at = contextAddress(context)
  if (at === null) throw new Error('this Node does not tell where its contexts are')
  prepared.set(context, at)
  ssl.controlContext(at, controls.mode, noAutoChain, 0)
  ssl.setNewSessionCallback(at, 0)
  ssl.setGetSessionCallback(at, 0)
  ssl.setVerifyCallback(at, callbacks.verify, 0)
  ssl.setAlpnCallback(at, callbacks.alpn, 0)
  ssl.contextCallback(at, controls.statusCallback, callbacks.status)
  if (keyLog !== null) ssl.setKeyLogCallback(at, callbacks.keyLog)
  if (ticketKeys.length > 1) {
    // Node's goes before it.
    ssl.setTicketCallback(at, 0)
    ssl.contextCallback(at, controls.ticketCallback, callbacks.ticket)
  }
  return at
}

/** Those that have used their buffers since it was last looked. */
let used = new Set<TlsSession>()
let usedBefore = new Set<TlsSession>()
let look = 1
let sweep: NodeJS.Timeout | null = null
const sweepMs = 5_000

/** Those that are not used for a while keep no buffers, which are 34 KiB each. */
export function releaseIdle(): void {
  for (const one of usedBefore) if (one.usedAt !== look) one.releaseBuffers()
  usedBefore = used
  used = new Set()
  look++
  if (usedBefore.size > 0 || sweep === null) return
  clearInterval(sweep)
  sweep = null
}

function noteUse(session: TlsSession): void {
  if (session.usedAt === look) return
  session.usedAt = look
  used.add(session)
  sweep ??= setInterval(releaseIdle, sweepMs).unref()
}

export class TlsSession {
  state: TlsState = 'handshake'
  /** Why it failed. */
  failure: Error | null = null
  /** The look at those that are idle, before which it was last used. */
  usedAt = 0
  private readonly shared: Shared
  /** OpenSSL's object, which is this one's; 0: it is freed. */
  private at: number
  private readonly options: ServerTls
  /** All that came ended where a record ends. */
  private aligned = false
  private hasShutDown = false
  /** It writes to its user's descriptor. */
  private writesToSocket = false
  /** What the peer showed in this handshake. */
  private shown: X509Certificate | null = null
  /** And beside it, where it was refused, of which OpenSSL keeps nothing. */
  private shownBeside: readonly X509Certificate[] | null = null

  /** A server's, which waits for the client's hello. Throws where this thread has no TLS of its own (`hasOwnTls`). */
  constructor(options: ServerTls) {
    shared ??= share()
    if (shared === null) throw new Error('this Node has no OpenSSL that can be called')
    this.shared = shared
    this.options = options
    const { ssl, readBio, writeBio } = shared
    this.at = ssl.newSsl(prepare(shared, options))
    if (this.at === 0) throw new Error('OpenSSL has no memory for a connection')
    // One reference each is the connection's, and goes with it.
    ssl.keepBio(readBio)
    ssl.setReadBio(this.at, readBio)
    ssl.keepBio(writeBio)
    ssl.setWriteBio(this.at, writeBio)
    ssl.setReadAhead(this.at, 1)
    if (options.judge !== null) ssl.setVerify(this.at, verifyPeer | (options.requiresCertificate ? failWithoutCertificate : 0), 0)
    ssl.setAcceptState(this.at)
  }

  /**
   * Takes bytes of the peer, at most `maxReceive`, and gives the number of plain ones in `plainBytes`. `user` sends what the peer has to be
   * told; `state` says what has come of it.
   */
  receive(bytes: Buffer, start: number, end: number, user: TlsUser): number {
    const { shared, at } = this
    if (at === 0 || this.state === 'ended' || this.state === 'failed') return 0
    const { ssl, input, plainAt } = shared
    noteUse(this)
    if (this.writesToSocket && user.writableFd < 0) this.writeToMemory()
    current = this
    try {
      input.set(received.of(bytes, ssl) + start, end - start)
      if (this.state === 'open' && this.aligned && isOneRecord(bytes, start, end)) {
        const length = ssl.read(at, plainAt, plainBytes.length)
        // What was read was the user's, so that OpenSSL has nothing to say to it.
        if (length > 0) return length
        return this.readOn(length, 0, user)
      }
      if (this.state === 'handshake' && !this.shakeHands(user)) return 0
      return this.readOn(1, 0, user)
    } catch (error) {
      // What is left there would be another session's.
      ssl.bioControl(shared.writeBio, controls.resetBio, 0, 0)
      throw error
    } finally {
      current = null
      input.clear()
    }
  }

  /** One step of the handshake; false: it is not done. */
  private shakeHands(user: TlsUser): boolean {
    const { ssl } = this.shared
    ssl.clearErrors()
    const result = ssl.doHandshake(this.at)
    if (result === 1) this.state = 'open'
    else if (ssl.getError(this.at, result) !== wantsReading) this.fail()
    this.giveOut(user)
    return result === 1
  }

  /** Reads until there is no more. `last`: what the read before gave; `length`: what stands in `plainBytes`. */
  private readOn(last: number, length: number, user: TlsUser): number {
    const { ssl, plainAt } = this.shared
    if (last > 0) ssl.clearErrors()
    let result = last
    let to = length
    for (;;) {
      while (result > 0 && plainBytes.length - to >= recordSize) {
        result = ssl.read(this.at, plainAt + to, plainBytes.length - to)
        if (result > 0) to += result
      }
      if (result > 0 || !this.writesToSocket || ssl.getError(this.at, result) !== wantsWriting) break
      // It has to answer first, and the kernel does not take that now.
      this.writeToMemory()
      result = 1
    }
    const why = result > 0 ? 0 : ssl.getError(this.at, result)
    if (result > 0) this.fail('more came of a read than it held')
    else if (why === hasEnded) this.end()
    else if (why === wantsReading) this.aligned = ssl.hasPending(this.at) === 0
    else this.fail()
    this.giveOut(user)
    return to
  }

  private end(): void {
    this.state = 'ended'
  }

  private fail(why?: string): void {
    const { ssl } = this.shared
    this.state = 'failed'
    // (It ends in a colon, as where OpenSSL says more behind it.)
    const text = why ?? ssl.firstError()
    this.failure = new Error(text === '' ? 'TLS failed' : `${text}:`)
    ssl.clearErrors()
  }

  /** Gives `user` what OpenSSL has written. */
  private giveOut(user: TlsUser): void {
    const { ssl, writeBio, encrypted, encryptedAt } = this.shared
    for (;;) {
      const length = ssl.bioRead(writeBio, encryptedAt, encrypted.length)
      if (length <= 0) return
      user.transmit(encrypted, 0, length)
      if (length < encrypted.length) return
    }
  }

  /** Encrypts bytes for the peer. False: there is no session any more that could. */
  send(bytes: Buffer, start: number, end: number, user: TlsUser): boolean {
    const { shared, at } = this
    if (at === 0 || this.state === 'handshake' || this.state === 'failed' || this.hasShutDown) return false
    if (start === end) return true
    const { ssl } = shared
    noteUse(this)
    const from = toSend.of(bytes, ssl) + start
    const length = end - start
    const fd = user.writableFd
    current = this
    if (fd >= 0 && length <= recordSize && this.writeToSocket(fd)) {
      const written = ssl.write(at, from, length)
      if (written === length) {
        current = null
        return true
      }
      const error = ssl.systemError()
      const why = error === constants.errno.EAGAIN ? wantsWriting : ssl.getError(at, written)
      if (why !== wantsWriting) {
        current = null
        this.fail()
        if (why === systemFailed) this.failure = systemFailure(error, 'write')
        return false
      }
    }
    // What a socket has not taken of it is given out too: to OpenSSL it is the same write, which goes on.
    if (this.writesToSocket) this.writeToMemory()
    const written = ssl.write(at, from, length)
    current = null
    this.giveOut(user)
    if (written === length) return true
    this.fail()
    return false
  }

  /** False: it can't be had. */
  private writeToSocket(fd: number): boolean {
    if (this.writesToSocket) return true
    const { ssl } = this.shared
    const bio = ssl.newSocketBio(fd, 0)
    if (bio === 0) return false
    ssl.setWriteBio(this.at, bio)
    this.writesToSocket = true
    return true
  }

  private writeToMemory(): void {
    const { ssl, writeBio } = this.shared
    ssl.keepBio(writeBio)
    ssl.setWriteBio(this.at, writeBio)
    this.writesToSocket = false
  }

  /** Tells the peer that no more comes. */
  shutDown(user: TlsUser): void {
    if (this.at === 0 || this.hasShutDown || this.state === 'handshake' || this.state === 'failed') return
    this.hasShutDown = true
    const { ssl } = this.shared
    if (this.writesToSocket) this.writeToMemory()
    ssl.clearErrors()
    current = this
    ssl.shutdown(this.at)
    current = null
    this.giveOut(user)
  }

  releaseBuffers(): void {
    if (this.at !== 0) this.shared.ssl.freeBuffers(this.at)
  }

  /** Ends what OpenSSL keeps of it; to be called once all is over, and never by what a call into it leads to. */
  free(): void {
    const { at } = this
    this.at = 0
    used.delete(this)
    usedBefore.delete(this)
    if (at !== 0) this.shared.ssl.freeSsl(at)
  }

  // What the handshake has led to; asked while the session stands.

  get protocol(): string {
    return this.at === 0 ? '' : this.shared.ssl.version(this.at)
  }

  get cipher(): string {
    const cipher = this.at === 0 ? 0 : this.shared.ssl.cipher(this.at)
    return cipher === 0 ? '' : (this.shared.ssl.cipherName(cipher) ?? '')
  }

  /** The group that keys were exchanged in, as OpenSSL calls it. */
  get group(): string {
    return this.at === 0 ? '' : (this.shared.ssl.groupName(this.at) ?? '')
  }

  /** How the peer signed in this handshake, in the words of TLS; empty: it did not. */
  get peerSignature(): string {
    if (this.at === 0) return ''
    const { ssl, scratch, scratchAt } = this.shared
    const type = new Int32Array(1)
    if (ssl.peerSignatureType(this.at, type) !== 1) return ''
    if (ssl.control(this.at, controls.getPeerSignatureDigest, 0, scratchAt) !== 1) return ''
    return signatureName(type[0]!, scratch.readInt32LE())
  }

  get alpn(): string {
    if (this.at === 0) return ''
    const { ssl, cell, scratch, scratchAt } = this.shared
    const length = new Uint32Array(1)
    ssl.alpn(this.at, cell, length)
    const from = Number(cell.readBigUInt64LE())
    if (from === 0 || length[0]! > 255) return ''
    ssl.copy(scratchAt, from, length[0]!)
    return scratch.toString('latin1', 0, length[0])
  }

  get wasResumed(): boolean {
    return this.at !== 0 && this.shared.ssl.wasResumed(this.at) === 1
  }

  /** Hex; empty: it has none. */
  get id(): string {
    const session = this.at === 0 ? 0 : this.shared.ssl.session(this.at)
    if (session === 0) return ''
    const { ssl, scratch, scratchAt } = this.shared
    const length = new Uint32Array(1)
    const from = ssl.sessionId(session, length)
    if (from === 0 || length[0]! > 64) return ''
    ssl.copy(scratchAt, from, length[0]!)
    return scratch.toString('hex', 0, length[0])
  }

  /** Our own certificate that was shown, in DER. */
  get own(): Buffer | null {
    return this.at === 0 ? null : this.encoded(this.shared.ssl.ownCertificate(this.at))
  }

  /** The peer's certificate; undefined: it showed none. */
  get peer(): X509Certificate | undefined {
    return this.shown ?? this.presented?.certificate
  }

  /** Those that the peer sent beside it in this handshake; none where it resumed a session, or is over. */
  get sentBeside(): readonly X509Certificate[] {
    if (this.shownBeside !== null) return this.shownBeside
    return this.at === 0 ? [] : this.certificates(this.shared.ssl.peerChain(this.at)).map(certificateOf)
  }

  /** What the peer has shown, now or in the session that was resumed, of which nobody knows what was sent beside it; null: nothing. */
  get presented(): Presented | null {
    if (this.at === 0) return null
    const { ssl } = this.shared
    const der = this.encoded(ssl.peerCertificate(this.at))
    if (der === null) return null
    return { certificate: certificateOf(der), sent: () => [], said: verifyWord(ssl.verifyResult(this.at)) }
  }

  // Called by OpenSSL.

  verify(store: number): number {
    const { ssl } = this.shared
    const { judge } = this.options
    // OpenSSL would want a client's key to be of a group that keys are agreed on in, which has been done by now.
    if (this.protocol !== 'TLSv1.3') ssl.control(this.at, controls.setGroups, 0, ssl.address(keyGroups))
    const der = this.encoded(ssl.storeCertificate(store))
    if (judge === null || der === null) return 0
    const { said, depth } = this.isTrusted(store) ? content : verifyProblem(ssl.storeError(store), ssl.storeErrorDepth(store))
    this.shown = certificateOf(der)
    const sent = () => this.certificates(ssl.storeSent(store)).slice(1).map(certificateOf)
    const { isWanted, word } = judge({ certificate: this.shown, sent, said, depth })
    // It goes with the session: who was let in though nobody vouches for it is not better known when it comes back.
    ssl.setStoreError(store, isWanted && word === '' ? 0 : verifyError(word))
    if (isWanted) return 1
    this.shownBeside = sent()
    return 0
  }

  /** OpenSSL's verdict on what was shown, which for the same again is the same. */
  private isTrusted(store: number): boolean {
    const { ssl } = this.shared
    const { context, keepsChains } = this.options
    if (!keepsChains) return ssl.verifyCertificate(store) === 1
    const sent = this.certificates(ssl.storeSent(store))
    const shown = sent.map((one) => `${one.length} ${one.latin1Slice()}`).join('')
    if (isKnownChain(context, shown)) return true
    if (ssl.verifyCertificate(store) !== 1) return false
    const chain = this.certificates(ssl.storeChain(store)).map(certificateOf)
    // (Behind the last that is looked at there may be more.)
    if (sent.length === 0 || sent.length === maxSent || shown.length > maxShown || chain.length === 0) return true
    const fromMs = Math.max(...chain.map(({ validFrom }) => Date.parse(validFrom)))
    const toMs = Math.min(...chain.map(({ validTo }) => Date.parse(validTo)))
    keepChain(context, shown, { fromMs, toMs })
    return true
  }

  /** The first certificates of a list of OpenSSL's, in DER; none where there is none, or one of them can't be had. */
  private certificates(stack: number): Buffer[] {
    const { ssl } = this.shared
    const all: Buffer[] = []
    for (let i = 0; stack !== 0 && i < Math.min(ssl.stackSize(stack), maxSent); i++) {
      const der = this.encoded(ssl.stackValue(stack, i))
      if (der === null) return []
      all.push(der)
    }
    return all
  }

  /** A certificate of OpenSSL's in DER; null: there is none, or it is too large. */
  private encoded(certificate: number): Buffer | null {
    if (certificate === 0) return null
    const { ssl, cell, cellAt, scratch, scratchAt } = this.shared
    const length = ssl.encodeCertificate(certificate, 0)
    if (length <= 0 || length > scratch.length) return null
    cell.writeBigUInt64LE(BigInt(scratchAt))
    ssl.encodeCertificate(certificate, cellAt)
    return Buffer.from(scratch.subarray(0, length))
  }

  chooseAlpn(out: number, outLength: number, offered: number, length: number): number {
    const { ssl, cell, cellAt, scratch, scratchAt } = this.shared
    if (length > scratch.length) return notAcknowledged
    ssl.copy(scratchAt, offered, length)
    const at = this.options.alpn.map((name) => placeOf(name, scratch, length)).find((place) => place >= 0)
    if (at === undefined) return notAcknowledged
    cell.writeBigUInt64LE(BigInt(offered + at + 1))
    ssl.copy(out, cellAt, cell.length)
    ssl.copy(outLength, scratchAt + at, 1)
    return acknowledged
  }

  logKey(line: string): void {
    this.options.keyLog?.(Buffer.from(`${line}\n`, 'latin1'))
  }

  /** Has a ticket made or read by one of the keys. */
  keyTicket(name: number, iv: number, cipher: number, hmac: number, encrypts: boolean): number {
    const { ssl, scratch, scratchAt } = this.shared
    const { ticketKeys } = this.options
    ssl.copy(scratchAt, name, ticketPart)
    const key = encrypts ? ticketKeys[0] : ticketKeys.find((one) => one.compare(scratch, 0, ticketPart, 0, ticketPart) === 0)
    if (key === undefined) return noTicket
    const at = ssl.address(key)
    if (encrypts) {
      randomFillSync(scratch, 0, ticketPart)
      ssl.copy(iv, scratchAt, ticketPart)
      ssl.copy(name, at, ticketPart)
    }
    const init = encrypts ? ssl.encryptInit : ssl.decryptInit
    if (ssl.hmacInit(hmac, at + ticketPart, ticketPart, ssl.ticketDigest(), 0) !== 1) return noTicket
    if (init(cipher, ssl.ticketCipher(), 0, at + 2 * ticketPart, iv) !== 1) return noTicket
    return key === ticketKeys[0] ? goodTicket : oldTicket
  }

  giveStatus(): number {
    const { ssl } = this.shared
    const der = this.encoded(ssl.ownCertificate(this.at))
    const response = der === null ? null : this.options.staple(der)
    if (response === null) return notAcknowledged
    // It is OpenSSL's from then on.
    const to = ssl.allocate(response.length)
    if (to === 0) return notAcknowledged
    ssl.copy(to, ssl.address(response), response.length)
    ssl.control(this.at, controls.setStatusResponse, response.length, to)
    return acknowledged
  }
}

const content = { said: '', depth: 0 }

/** What keys of certificates are of. */
const keyGroups = Buffer.from('P-256:P-384:P-521\0')

/** Certificates of a peer that are looked at. */
const maxSent = 100
/** What a peer shows that it is known by (bytes). */
const maxShown = 16 * 1024

/** Where a protocol stands in a list of ALPN (RFC 7301 section 3.1): a length and a name each; -1: nowhere. */
function placeOf(name: string, list: Buffer, end: number): number {
  for (let at = 0; at < end; at += 1 + list[at]!)
    if (list[at] === name.length && list.toString('latin1', at + 1, at + 1 + name.length) === name) return at
  return -1
}

/** Whether bytes that begin where a record does are just one record, of the user's data as far as can be seen. */
function isOneRecord(bytes: Buffer, start: number, end: number): boolean {
  return (
    end - start > headerSize &&
    bytes[start] === applicationData &&
    headerSize + (bytes[start + 3]! << 8) + bytes[start + 4]! === end - start
  )
}
