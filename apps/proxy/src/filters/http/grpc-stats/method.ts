/** Service and method that a gRPC path names (`/pkg.Service/Method`); null when it names none. */
export function methodOf(path: string): { service: string; name: string } | null {
  const match = /^\/([^/?]+)\/([^/?]+)$/.exec(path.split('?')[0]!)
  return match === null ? null : { service: match[1]!, name: match[2]! }
}
