/** A request that two readers could cut differently. Behind it stands one to `/smuggled` that only one of them sees. */
export interface Smuggle {
  name: string
  /** The whole stream that one client sends on one connection. */
  bytes: Buffer
  /**
   * The paths that may be seen at most, in order. `/smuggled` is among them only where every reader agrees that it is a
   * request of its own.
   */
  allowed: readonly string[]
}

const hidden = 'GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n'
const post = 'POST /first HTTP/1.1\r\nHost: a.test\r\n'
/** As chunks the body ends at once, and what stands behind is another request; by length it's all one body. */
const twoFaced = `0\r\n\r\n${hidden}`
const bothLengths = (headers: string): string => `${post}${headers}\r\n${twoFaced}`
const length = `Content-Length: ${twoFaced.length}\r\n`

function smuggle(name: string, text: string, allowed: readonly string[] = ['/first']): Smuggle {
  return { name, bytes: Buffer.from(text, 'latin1'), allowed }
}

/** Every spelling of a transfer coding that one reader takes for `chunked` and another doesn't. */
const codings: [string, string][] = [
  ['behind a vertical tab', 'Transfer-Encoding: \x0bchunked'],
  ['behind a form feed', 'Transfer-Encoding: \x0cchunked'],
  ['with a space before the colon', 'Transfer-Encoding : chunked'],
  ['with a tab before the colon', 'Transfer-Encoding\t: chunked'],
  ['with a space before the name', ' Transfer-Encoding: chunked'],
  ['as xchunked', 'Transfer-Encoding: xchunked'],
  ['in quotes', 'Transfer-Encoding: "chunked"'],
  ['behind identity', 'Transfer-Encoding: identity, chunked'],
  ['before identity', 'Transfer-Encoding: chunked, identity'],
  ['twice in one line', 'Transfer-Encoding: chunked, chunked'],
  ['twice in two lines', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'],
  ['and then another in a second line', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: x'],
  ['after another in a first line', 'Transfer-Encoding: x\r\nTransfer-Encoding: chunked'],
  ['with a parameter', 'Transfer-Encoding: chunked;q=1'],
  ['on a folded line', 'Transfer-Encoding:\r\n chunked'],
  ['folded behind a word', 'Transfer-Encoding: x\r\n\tchunked'],
  ['behind a NUL', 'Transfer-Encoding: \0chunked'],
  ['before a NUL', 'Transfer-Encoding: chunked\0'],
  ['hidden by a bare CR', 'X: y\rTransfer-Encoding: chunked'],
  ['hidden by a bare LF', 'X: y\nTransfer-Encoding: chunked'],
  ['with a bare LF behind', 'Transfer-Encoding: chunked\nX: y'],
  ['with a bare CR behind', 'Transfer-Encoding: chunked\r'],
  ['with an underscore', 'Transfer_Encoding: chunked'],
  ['with a non-breaking space', 'Transfer-Encoding: \xa0chunked'],
  ['with an empty element', 'Transfer-Encoding: ,chunked'],
  ['empty', 'Transfer-Encoding:'],
  ['with a NUL in the name', 'Transfer-\0Encoding: chunked'],
  ['nominated by Connection', 'Connection: transfer-encoding\r\nTransfer-Encoding: chunked'],
]

/** Every spelling of a length that one reader takes for another number, or for none. */
const lengths: [string, string][] = [
  ['twice, different', `Content-Length: 0\r\n${length.trimEnd()}`],
  ['twice, the other way', `${length}Content-Length: 0`],
  ['twice, the same', `${length}${length.trimEnd()}`],
  ['as a list', `Content-Length: 0, ${twoFaced.length}`],
  ['with a plus', `Content-Length: +${twoFaced.length}`],
  ['with a minus', 'Content-Length: -1'],
  ['in hexadecimal', 'Content-Length: 0x10'],
  ['with letters behind', 'Content-Length: 0a'],
  ['with a space inside', 'Content-Length: 1 0'],
  ['with a point', 'Content-Length: 0.0'],
  ['with an underscore', 'Content-Length: 1_0'],
  ['empty', 'Content-Length:'],
  ['too large for 64 bits', 'Content-Length: 18446744073709551616'],
  ['folded', 'Content-Length:\r\n 0'],
  ['with a space before the colon', 'Content-Length : 0'],
  ['with a vertical tab', 'Content-Length: \x0b0'],
  ['with a NUL behind', 'Content-Length: 0\0'],
  ['with a bare CR', 'Content-Length: 0\rX: y'],
  ['nominated by Connection', `Connection: content-length\r\n${length.trimEnd()}`],
]

const chunkedPost = `${post}Transfer-Encoding: chunked\r\n\r\n`
const chunkings: [string, string][] = [
  ['a bare LF behind the size', `1\na\r\n${twoFaced}`],
  ['a bare CR behind the size', `1\ra\r\n${twoFaced}`],
  ['a space behind the size', `1 \r\na\r\n${twoFaced}`],
  ['a space before the size', ` 1\r\na\r\n${twoFaced}`],
  ['a sign before the size', `+1\r\na\r\n${twoFaced}`],
  ['a hexadecimal prefix', `0x1\r\na\r\n${twoFaced}`],
  ['an underscore in the size', `1_0\r\na\r\n${twoFaced}`],
  ['a size that wraps at 64 bits', `10000000000000001\r\na\r\n${twoFaced}`],
  ['a size that wraps at 32 bits', `100000001\r\na\r\n${twoFaced}`],
  ['no size', `\r\na\r\n${twoFaced}`],
  ['only an extension', `;a=b\r\na\r\n${twoFaced}`],
  ['a bare LF in an extension', `1;a\n${hidden}`],
  ['a bare CR in an extension', `1;a\rb\r\na\r\n${twoFaced}`],
  ['a NUL in an extension', `1;\0\r\na\r\n${twoFaced}`],
  ['no line end behind the data', `1\r\na${twoFaced}`],
  ['a bare LF behind the data', `1\r\na\n${twoFaced}`],
  ['data longer than its size', `1\r\nab\r\n${twoFaced}`],
  ['two bytes instead of a line end', `1\r\naXX${twoFaced}`],
  ['a bare LF behind the last size', `0\n\n${hidden}`],
  ['a bare LF at the end', `0\r\n\n${hidden}`],
  ['a bare CR at the end', `0\r\n\r${hidden}`],
  ['the next request in place of trailers', `0\r\n${hidden}`],
  ['a folded trailer', `0\r\nx: y\r\n z\r\n\r\n`],
  ['a trailer with a bare LF', `0\r\nx: y\n\n${hidden}`],
]

const lines: [string, string][] = [
  ['two Hosts', `GET /first HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n`],
  ['a Host with a path', `GET /first HTTP/1.1\r\nHost: a.test/x\r\n\r\n`],
  ['a Host with a space', `GET /first HTTP/1.1\r\nHost: a.test b.test\r\n\r\n`],
  ['a folded Host', `GET /first HTTP/1.1\r\nHost: a.test\r\n b.test\r\n\r\n`],
  ['a Host line with a space before the colon', `GET /first HTTP/1.1\r\nHost : a.test\r\n\r\n`],
  ['bare LFs', `GET /first HTTP/1.1\nHost: a.test\n\n${hidden}`],
  ['bare CRs', `GET /first HTTP/1.1\rHost: a.test\r\r${hidden}`],
  ['a bare LF as last line', `GET /first HTTP/1.1\r\nHost: a.test\r\n\n${hidden}`],
  ['a NUL in the path', `GET /first\0 HTTP/1.1\r\nHost: a.test\r\n\r\n`],
  ['a bare CR in the path', `GET /first\rX: HTTP/1.1\r\nHost: a.test\r\n\r\n`],
  ['a tab between method and path', `GET\t/first HTTP/1.1\r\nHost: a.test\r\n\r\n`],
  ['two spaces', `GET  /first HTTP/1.1\r\nHost: a.test\r\n\r\n`],
  ['a space in the path', `GET /first /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n`],
  ['no version', `GET /first\r\n\r\n${hidden}`],
  ['a version with a space', `GET /first HTTP/ 1.1\r\nHost: a.test\r\n\r\n`],
  ['HTTP/1.2', `GET /first HTTP/1.2\r\nHost: a.test\r\n\r\n`],
  ['chunked with HTTP/1.0', `POST /first HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${twoFaced}`],
  ['a header without a name', `GET /first HTTP/1.1\r\nHost: a.test\r\n: x\r\n\r\n`],
  ['a header without a colon', `GET /first HTTP/1.1\r\nHost: a.test\r\nGET /smuggled HTTP/1.1\r\n\r\n`],
  ['a header before the request line', `X: y\r\n${hidden}`],
  ['an absolute target with a line end', `GET http://a.test\r/ HTTP/1.1\r\nHost: a.test\r\n\r\n`],
  ['HTTP/2 preface', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${hidden}`],
]

/** What has been used to get a second request past a proxy. */
export const smuggles: readonly Smuggle[] = [
  smuggle('length and chunks', bothLengths(`${length}Transfer-Encoding: chunked\r\n`)),
  smuggle('chunks and length', bothLengths(`Transfer-Encoding: chunked\r\n${length}`)),
  ...codings.map(([name, line]) => smuggle(`a coding ${name}`, bothLengths(`${length}${line}\r\n`))),
  ...lengths.map(([name, line]) => smuggle(`a length ${name}`, `${post}${line}\r\n\r\n${twoFaced}`)),
  ...chunkings.map(([name, body]) => smuggle(`chunks with ${name}`, `${chunkedPost}${body}`)),
  ...lines.map(([name, text]) => smuggle(name, text)),
  smuggle(
    'a request for a body whose length is nominated by Connection',
    `${post}Connection: close, content-length\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
  ),
  smuggle(
    'a request for a body whose length is nominated by Connection, kept alive',
    `${post}Connection: content-length\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
  ),
  smuggle(
    'a request for a body whose coding is nominated by Connection',
    `${post}Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`,
  ),
  smuggle('GET with a body', `GET /first HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`),
  smuggle('HEAD with a body', `HEAD /first HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`),
  smuggle(
    'an upgrade nobody takes, with a body',
    `GET /first HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
  ),
  smuggle('Expect, with the body at once', `${post}Expect: 100-continue\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`),
  smuggle('two pipelined requests', `GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n${hidden}`, ['/first', '/smuggled']),
]
