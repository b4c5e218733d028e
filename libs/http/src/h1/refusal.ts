/** How a request that cannot be taken is answered. */
export interface Refusal {
  readonly status: number
  /** For the access log, in Envoy's words. */
  readonly details: string
  /** Why its connection ends, in Envoy's words. */
  readonly reason: string
}

function refusal(reason: string, details = 'http1.codec_error', status = 400): Refusal {
  return { status, details, reason: `http/1.1 protocol error: ${reason}` }
}

/** By what is wrong with it. */
export const refusals = {
  'no-line': refusal('NO_REQUEST_LINE_IN_REQUEST'),
  'bad-method': refusal('HPE_INVALID_METHOD'),
  'bad-target': refusal('HPE_INVALID_URL'),
  'bad-version': refusal('HPE_INVALID_VERSION'),
  'old-version': { status: 426, details: 'low_version', reason: 'Upgrade required for HTTP/1.0 or HTTP/0.9' },
  'bad-url': refusal('invalid url in request line', 'http1.invalid_url'),
  'bad-scheme': refusal('invalid scheme', 'http1.invalid_scheme'),
  'https-in-the-clear': refusal('https in the url', 'http1.https_url_on_plaintext_connection', 403),
  'bad-authority': refusal('request headers failed spec compliance checks', 'http.invalid_authority'),
  'bad-name': refusal('INVALID_HEADER_NAME_CHARACTER'),
  'high-name': refusal('HPE_INVALID_HEADER_TOKEN'),
  'no-name': refusal('INVALID_HEADER_FORMAT'),
  'no-colon': refusal('HEADER_MISSING_COLON'),
  'bad-character': refusal('header value contains invalid chars', 'http1.invalid_characters'),
  underscore: refusal('header name contains underscores', 'http1.unexpected_underscore'),
  'too-many-headers': refusal('headers count exceeds limit', 'http1.too_many_headers', 431),
  'too-large': refusal('headers size exceeds limit', 'http1.headers_too_large', 431),
  'bad-connection': {
    status: 400,
    details: 'http1.connection_header_rejected',
    reason: 'Invalid nominated headers in Connection.',
  },
  'bad-length': refusal('UNPARSABLE_CONTENT_LENGTH'),
  'several-lengths': refusal('HPE_UNEXPECTED_CONTENT_LENGTH'),
  'length-and-coding': refusal(
    "both 'Content-Length' and 'Transfer-Encoding' are set.",
    'http1.content_length_and_chunked_not_allowed',
  ),
  'bad-coding': refusal('unsupported transfer encoding', 'http1.invalid_transfer_encoding', 501),
  'body-of-connect': refusal('unsupported content length', 'http1.body_disallowed'),
  'bad-chunk-size': refusal('HPE_INVALID_CHUNK_SIZE'),
  'big-chunk': refusal('CHUNK_LENGTH_OVERFLOW'),
  'bad-chunk-extension': refusal('INVALID_CHUNK_EXTENSION'),
  'bad-trailer-name': refusal('INVALID_TRAILER_NAME_CHARACTER'),
  'too-many-trailers': refusal('trailers count exceeds limit', 'http1.too_many_headers', 431),
  'too-large-trailers': refusal('trailers size exceeds limit', 'http1.headers_too_large', 431),
} as const satisfies Record<string, Refusal>

export type Mistake = keyof typeof refusals
