/** The one part of node-forge that is used, by its own path: the whole package costs ten times its load time. */
declare module 'node-forge/lib/asn1.js' {
  /** One node of a DER tree; bytes are strings of characters 0–255, as everywhere in node-forge. */
  export interface Asn1 {
    tagClass: number
    type: number
    constructed: boolean
    value: string | Asn1[]
  }
  const asn1: {
    create(tagClass: number, type: number, constructed: boolean, value: string | Asn1[]): Asn1
    fromDer(bytes: string, options: { strict: boolean; parseAllBytes: boolean; decodeBitStrings: boolean }): Asn1
    toDer(node: Asn1): { getBytes(): string }
    oidToDer(oid: string): { getBytes(): string }
    derToOid(bytes: string): string
  }
  export default asn1
}
