/** Text as headers are kept and logs are written: a character a byte of its UTF-8. */
export function wireText(text: string): string {
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text).latin1Slice()
}
