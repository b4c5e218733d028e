import { createRequire } from 'node:module'
import type { SecureContext } from 'node:tls'
import { inspect } from 'node:util'
import type * as Koffi from 'koffi'

/**
 * OpenSSL as it is in Node's own binary, called through koffi: pointers are numbers here, and each belongs to whom its comment says.
 * Names and meanings are those of OpenSSL's manual pages (`man SSL_read`).
 */
export interface OpenSsl {
  /** Where the bytes of a buffer are, as long as it is referred to. */
  address(buffer: Buffer): number
  newSsl(context: number): number
  freeSsl(ssl: number): void
  /** Gives back what records are read into and written from, if there is nothing in it. */
  freeBuffers(ssl: number): number
  setReadBio(ssl: number, bio: number): void
  setWriteBio(ssl: number, bio: number): void
  setAcceptState(ssl: number): void
  setReadAhead(ssl: number, on: number): void
  setVerify(ssl: number, mode: number, callback: number): void
  doHandshake(ssl: number): number
  read(ssl: number, to: number, size: number): number
  write(ssl: number, from: number, size: number): number
  shutdown(ssl: number): number
  /** Why a call has failed, by its result; the errors of this thread are to be cleared before it. */
  getError(ssl: number, result: number): number
  hasPending(ssl: number): number
  control(ssl: number, command: number, length: number, pointer: number): number
  version(ssl: number): string
  cipher(ssl: number): number
  cipherName(cipher: number): string | null
  groupName(ssl: number): string | null
  /** By what kind of key (NID) a peer has signed; 0: it has not. */
  peerSignatureType(ssl: number, type: Int32Array): number
  alpn(ssl: number, data: Buffer, length: Uint32Array): void
  wasResumed(ssl: number): number
  verifyResult(ssl: number): number
  /** Certificates that stay the connection's; 0: there is none. */
  ownCertificate(ssl: number): number
  peerCertificate(ssl: number): number
  /** A list of those that came beside a client's own; 0: there is none. */
  peerChain(ssl: number): number
  encodeCertificate(certificate: number, at: number): number
  session(ssl: number): number
  sessionId(session: number, length: Uint32Array): number

  newMemoryBio(): number
  /** One that writes to a descriptor of somebody else's. */
  newSocketBio(fd: number, closes: number): number
  keepBio(bio: number): number
  setBioFlags(bio: number, flags: number): void
  bioRead(bio: number, to: number, size: number): number
  bioControl(bio: number, command: number, length: number, pointer: number): number

  storeCertificate(store: number): number
  storeSent(store: number): number
  /** From the peer's certificate to the one that is trusted, once it was verified; 0: there is none. */
  storeChain(store: number): number
  storeError(store: number): number
  storeErrorDepth(store: number): number
  setStoreError(store: number, error: number): void
  verifyCertificate(store: number): number
  stackSize(stack: number): number
  stackValue(stack: number, at: number): number

  /** Why the call before it has failed, where that was the system's doing: a number of its own. */
  systemError(): number
  clearErrors(): void
  /** The oldest error of this thread, as text; empty: there is none. */
  firstError(): string

  ticketCipher(): number
  ticketDigest(): number
  encryptInit(cipherContext: number, cipher: number, engine: number, key: number, iv: number): number
  decryptInit(cipherContext: number, cipher: number, engine: number, key: number, iv: number): number
  hmacInit(hmacContext: number, key: number, size: number, digest: number, engine: number): number

  allocate(size: number): number
  copy(to: number, from: number, size: number): void

  setVerifyCallback(context: number, callback: number, argument: number): void
  setAlpnCallback(context: number, callback: number, argument: number): void
  setKeyLogCallback(context: number, callback: number): void
  setNewSessionCallback(context: number, callback: number): void
  setGetSessionCallback(context: number, callback: number): void
  setTicketCallback(context: number, callback: number): void
  contextCallback(context: number, command: number, callback: number): void
  controlContext(context: number, command: number, length: number, pointer: number): number
  /** A function that OpenSSL may call, by a pointer that is good as long as the thread. It must not throw. */
  callback(
    result: 'int' | 'void',
    parameters: readonly ('pointer' | 'text' | 'int')[],
    call: (...values: never[]) => unknown,
  ): number
}

/** Of `SSL_get_error`: more of what the peer sends is needed; what is for it was not taken; the system failed; the peer has said that it sends no more. */
export const wantsReading = 2
export const wantsWriting = 3
export const systemFailed = 5
export const hasEnded = 6
export const verifyPeer = 1
export const failWithoutCertificate = 2
/** Certificates that a chain of ours lacks are not looked for among those that are trusted, which would be done in each handshake. */
export const noAutoChain = 8
/** Commands of `SSL_ctrl`, `SSL_CTX_ctrl`, `SSL_CTX_callback_ctrl` and `BIO_ctrl`. */
export const controls = {
  mode: 33,
  setStatusResponse: 71,
  setGroups: 92,
  statusCallback: 63,
  ticketCallback: 72,
  getPeerSignatureDigest: 108,
  resetBio: 1,
  setBioMemory: 114,
} as const

/** Of a memory BIO: what it gives stands in memory of ours (`BUF_MEM`), and is used up there. */
export const readOnlyMemory = 0x200

let loaded: OpenSsl | null | undefined

/** OpenSSL of this thread; null where it can't be had: without koffi, or in a Node that was built with another library. */
export function openSsl(): OpenSsl | null {
  if (loaded === undefined) {
    try {
      loaded = load()
    } catch {
      loaded = null
    }
  }
  return loaded
}

const knownMajor = 3

function load(): OpenSsl | null {
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
  const library = koffi.load(null)
  const f = <F>(signature: string): F => library.func(signature) as unknown as F
  if (f<() => number>('unsigned long OpenSSL_version_num()')() >>> 28 !== knownMajor) return null
  const address = (buffer: Buffer) => Number(koffi.address(buffer))
  const memoryMethod = f<() => number>('uintptr_t BIO_s_mem()')()
  const newBio = f<(method: number) => number>('uintptr_t BIO_new(uintptr_t)')
  const getError = f<() => number>('unsigned long ERR_get_error()')
  const errorText = f<(error: number, to: number, size: number) => void>(
    'void ERR_error_string_n(unsigned long, uintptr_t, size_t)',
  )
  const cryptoMalloc = f<(size: number, file: number, line: number) => number>('uintptr_t CRYPTO_malloc(size_t, uintptr_t, int)')
  const text = Buffer.alloc(512)
  const types = { pointer: 'uintptr_t', text: 'const char *', int: 'int' } as const
  return {
    address,
    newSsl: f('uintptr_t SSL_new(uintptr_t)'),
    freeSsl: f('void SSL_free(uintptr_t)'),
    freeBuffers: f('int SSL_free_buffers(uintptr_t)'),
    setReadBio: f('void SSL_set0_rbio(uintptr_t, uintptr_t)'),
    setWriteBio: f('void SSL_set0_wbio(uintptr_t, uintptr_t)'),
    setAcceptState: f('void SSL_set_accept_state(uintptr_t)'),
    setReadAhead: f('void SSL_set_read_ahead(uintptr_t, int)'),
    setVerify: f('void SSL_set_verify(uintptr_t, int, uintptr_t)'),
    doHandshake: f('int SSL_do_handshake(uintptr_t)'),
    read: f('int SSL_read(uintptr_t, uintptr_t, int)'),
    write: f('int SSL_write(uintptr_t, uintptr_t, int)'),
    shutdown: f('int SSL_shutdown(uintptr_t)'),
    getError: f('int SSL_get_error(uintptr_t, int)'),
    hasPending: f('int SSL_has_pending(uintptr_t)'),
    control: f('long SSL_ctrl(uintptr_t, int, long, uintptr_t)'),
    version: f('const char *SSL_get_version(uintptr_t)'),
    cipher: f('uintptr_t SSL_get_current_cipher(uintptr_t)'),
    cipherName: f('const char *SSL_CIPHER_get_name(uintptr_t)'),
    groupName: f('const char *SSL_get0_group_name(uintptr_t)'),
    peerSignatureType: f('int SSL_get_peer_signature_type_nid(uintptr_t, void *)'),
    alpn: f('void SSL_get0_alpn_selected(uintptr_t, void *, void *)'),
    wasResumed: f('int SSL_session_reused(uintptr_t)'),
    verifyResult: f('long SSL_get_verify_result(uintptr_t)'),
    ownCertificate: f('uintptr_t SSL_get_certificate(uintptr_t)'),
    peerCertificate: f('uintptr_t SSL_get0_peer_certificate(uintptr_t)'),
    peerChain: f('uintptr_t SSL_get_peer_cert_chain(uintptr_t)'),
    encodeCertificate: f('int i2d_X509(uintptr_t, uintptr_t)'),
    session: f('uintptr_t SSL_get_session(uintptr_t)'),
    sessionId: f('uintptr_t SSL_SESSION_get_id(uintptr_t, void *)'),

    newMemoryBio: () => newBio(memoryMethod),
    keepBio: f('int BIO_up_ref(uintptr_t)'),
    newSocketBio: f('uintptr_t BIO_new_socket(int, int)'),
    setBioFlags: f('void BIO_set_flags(uintptr_t, int)'),
    bioRead: f('int BIO_read(uintptr_t, uintptr_t, int)'),
    bioControl: f('long BIO_ctrl(uintptr_t, int, long, uintptr_t)'),

    storeCertificate: f('uintptr_t X509_STORE_CTX_get0_cert(uintptr_t)'),
    storeSent: f('uintptr_t X509_STORE_CTX_get0_untrusted(uintptr_t)'),
    storeChain: f('uintptr_t X509_STORE_CTX_get0_chain(uintptr_t)'),
    storeError: f('int X509_STORE_CTX_get_error(uintptr_t)'),
    storeErrorDepth: f('int X509_STORE_CTX_get_error_depth(uintptr_t)'),
    setStoreError: f('void X509_STORE_CTX_set_error(uintptr_t, int)'),
    verifyCertificate: f('int X509_verify_cert(uintptr_t)'),
    stackSize: f('int OPENSSL_sk_num(uintptr_t)'),
    stackValue: f('uintptr_t OPENSSL_sk_value(uintptr_t, int)'),

    systemError: koffi.errno,
    clearErrors: f('void ERR_clear_error()'),
    firstError() {
      const error = getError()
      if (error === 0) return ''
      errorText(error, address(text), text.length)
      return text.toString('latin1', 0, text.indexOf(0))
    },

    ticketCipher: f('uintptr_t EVP_aes_128_cbc()'),
    ticketDigest: f('uintptr_t EVP_sha256()'),
    encryptInit: f('int EVP_EncryptInit_ex(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t)'),
    decryptInit: f('int EVP_DecryptInit_ex(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t)'),
    hmacInit: f('int HMAC_Init_ex(uintptr_t, uintptr_t, int, uintptr_t, uintptr_t)'),

    allocate: (size) => cryptoMalloc(size, 0, 0),
    copy: f('uintptr_t memcpy(uintptr_t, uintptr_t, size_t)'),

    setVerifyCallback: f('void SSL_CTX_set_cert_verify_callback(uintptr_t, uintptr_t, uintptr_t)'),
    setAlpnCallback: f('void SSL_CTX_set_alpn_select_cb(uintptr_t, uintptr_t, uintptr_t)'),
    setKeyLogCallback: f('void SSL_CTX_set_keylog_callback(uintptr_t, uintptr_t)'),
    setNewSessionCallback: f('void SSL_CTX_sess_set_new_cb(uintptr_t, uintptr_t)'),
    setGetSessionCallback: f('void SSL_CTX_sess_set_get_cb(uintptr_t, uintptr_t)'),
    setTicketCallback: f('int SSL_CTX_set_tlsext_ticket_key_evp_cb(uintptr_t, uintptr_t)'),
    controlContext: f('long SSL_CTX_ctrl(uintptr_t, int, long, uintptr_t)'),
    contextCallback: f('long SSL_CTX_callback_ctrl(uintptr_t, int, uintptr_t)'),
    callback(result, parameters, call) {
      const type = koffi.proto(
        result,
        parameters.map((one) => types[one]),
      )
      return Number(koffi.register(call, koffi.pointer(type)))
    },
  }
}

/** Where the SSL_CTX of a context of Node's is (Node's own field, with no public way to it); null: it can't be told. */
export function contextAddress({ context }: SecureContext): number | null {
  const external: unknown = Reflect.get(context as object, '_external')
  const [, digits] = /^\[External: ([0-9a-f]+)\]$/.exec(inspect(external)) ?? []
  return digits === undefined ? null : Number.parseInt(digits, 16)
}
