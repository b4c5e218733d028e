import { isDeepStrictEqual } from 'node:util'
import { isTrustedPeer, parseXfcc, xfccIdentities } from '@weft/identity/xfcc'
import { object, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'
import { casesOf, play, Refusal, strings, table } from './tables.ts'

/** The x-forwarded-client-cert header: who may send it, and whom it names. */
export function forwardedCases(dir: string): CaseResult[] {
  const trust = casesOf(table(dir, 'xfcc.json', 'TestIsTrustedAddress', 'cases'), 'trusted peer').map(([name, one]) => {
    const cidrs = text(one['cidr'], 'cidr').split(',').filter(Boolean)
    return play(
      name,
      one['trusted'],
      () => isTrustedPeer(text(one['peer'], 'peer'), cidrs),
      (actual) => actual === one['trusted'],
    )
  })
  const headers = casesOf(table(dir, 'xfcc.json', 'TestXfccAuthenticator', 'cases'), 'XFCC').map(([name, one]) => {
    const isRefused = typeof one['authenticateErrMsg'] === 'string'
    const expected = isRefused ? undefined : strings(object(one['caller'] ?? null, 'caller')['Identities'])
    return play(
      name,
      expected ?? 'refused',
      () => xfccIdentities(parseXfcc(text(one['xfccHeader'], 'xfccHeader'))),
      (actual) => (expected === undefined ? actual instanceof Refusal : isDeepStrictEqual(actual, expected)),
    )
  })
  return [...trust, ...headers]
}
