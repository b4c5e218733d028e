import { expect, it } from 'vitest'
import { readDocuments } from '../document.ts'
import { readObject } from '../read-object.ts'

/** The paths in a DENY rule that are told to deny all of TCP. */
function told(rule: object): (string | undefined)[] {
  const policy = { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { name: 'p' } }
  const { documents } = readDocuments(JSON.stringify({ ...policy, spec: { action: 'DENY', rules: [rule] } }), 'p.yaml')
  return documents.flatMap((document) => readObject(document).problems).map(({ path }) => path)
}

const tokens = { source: { notRequestPrincipals: ['*'] } }
const peers = { source: { notRequestPrincipals: ['*'], principals: ['*'] } }

it.each([
  ['tokens alone', { from: [tokens] }, ['spec.rules[0].from[0].source']],
  ['tokens of peers that are named', { from: [peers] }, []],
  ['paths', { to: [{ operation: { paths: ['/'] } }] }, ['spec.rules[0].to[0].operation']],
  ['paths at a port', { to: [{ operation: { paths: ['/'], ports: ['80'] } }] }, []],
  ['tokens at a port', { from: [tokens], to: [{ operation: { ports: ['80'] } }] }, []],
  ['tokens and paths', { from: [tokens], to: [{ operation: { paths: ['/'] } }] }, ['spec.rules[0].to[0].operation']],
])(
  'a DENY rule of HTTP attributes denies all of TCP, and says so, unless a port or a peer keeps it from that: %s',
  (_, rule, paths) => {
    expect(told(rule)).toEqual(paths)
  },
)
