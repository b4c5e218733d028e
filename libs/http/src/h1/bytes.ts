/** Byte tables of HTTP/1.1's grammar (RFC 9110 section 5.6.2, RFC 9112). */

/** Of each byte: its lower case when it may stand in a token (header name, method), 0 when not. */
export const tokenLower = new Uint8Array(256)
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
  tokenLower[char.charCodeAt(0)] = char.toLowerCase().charCodeAt(0)
}

/** 1: may stand in a header value (visible, space, tab, or above 0x7f). */
export const valueByte = new Uint8Array(256)
for (let i = 0; i < 256; i++) valueByte[i] = i === 9 || (i >= 32 && i !== 127) ? 1 : 0

/** 1: may stand in a request target: visible ASCII. */
export const targetByte = new Uint8Array(256)
for (let i = 33; i < 127; i++) targetByte[i] = 1

/** 1: may stand in Host or :authority (RFC 3986 section 3.2: reg-name, IP literals, port, userinfo). */
export const authorityByte = new Uint8Array(256)
for (const char of "-._~%!$&'()*+,;=:@[]0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
  authorityByte[char.charCodeAt(0)] = 1
}

/** Whether all characters may stand in Host. */
export function isAuthority(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (authorityByte[text.charCodeAt(i)] !== 1) return false
  return true
}

/** Value of a hexadecimal digit; 255: none. */
export const hexValue = new Uint8Array(256).fill(255)
for (let i = 0; i < 10; i++) hexValue[48 + i] = i
for (let i = 0; i < 6; i++) {
  hexValue[97 + i] = 10 + i
  hexValue[65 + i] = 10 + i
}

/** Whether the range is `lower` (lower-case ASCII) in any case. */
export function equalsIgnoreCase(bytes: Uint8Array, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false
  for (let i = 0; i < lower.length; i++) {
    const byte = bytes[start + i]!
    const folded = byte >= 65 && byte <= 90 ? byte | 32 : byte
    if (folded !== lower.charCodeAt(i)) return false
  }
  return true
}

/** Whether a comma-separated list (RFC 9110 section 5.6.1) holds the token `lower`, in any case. */
export function listHas(bytes: Uint8Array, start: number, end: number, lower: string): boolean {
  let at = start
  while (at < end) {
    let stop = at
    while (stop < end && bytes[stop] !== 44) stop++
    let first = at
    let last = stop
    while (first < last && (bytes[first] === 32 || bytes[first] === 9)) first++
    while (last > first && (bytes[last - 1] === 32 || bytes[last - 1] === 9)) last--
    if (equalsIgnoreCase(bytes, first, last, lower)) return true
    at = stop + 1
  }
  return false
}
