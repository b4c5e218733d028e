import { timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { WeftError } from '@weft/service/errors'
import { parseAddress } from '@weft/service/flags'
import type { FastifyRequest } from 'fastify'

/** Throws `unauthenticated` or `permission_denied` for a request that may not change the configuration. */
export type WriteGuard = (request: FastifyRequest) => Promise<void>

/**
 * Who may write: with a token file whoever bears the operator token in it (read at each request, as it may be made
 * later or be replaced); without one, anyone on a loopback address, except pages of a browser; elsewhere nobody.
 */
export function writeGuard(adminAddress: string, tokenFile: string | undefined): WriteGuard {
  if (tokenFile !== undefined) return (request) => checkToken(request, tokenFile)
  const loopback = isLoopback(parseAddress(adminAddress).host)
  return async (request) => {
    if (!loopback) {
      throw new WeftError(
        'permission_denied',
        'this Pilot takes no changes over HTTP: it listens beyond loopback and has no operator token',
        {
          hint: 'start it with --operator-token-file',
        },
      )
    }
    // A page in a browser may send requests to loopback too, by its own name for it or from another origin.
    const host = /^(.*?)(?::\d+)?$/.exec(request.headers.host ?? '')?.[1] ?? ''
    if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined || !isLoopback(host)) {
      throw new WeftError(
        'permission_denied',
        'changes from a browser, or by another host name than that of loopback, need an operator token',
      )
    }
  }
}

async function checkToken(request: FastifyRequest, tokenFile: string): Promise<void> {
  const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (given === undefined) {
    throw new WeftError('unauthenticated', 'a change needs the operator token', { hint: 'send authorization: Bearer TOKEN' })
  }
  const expected = (await readFile(tokenFile, 'utf8').catch(() => '')).trim()
  if (expected === '') {
    throw new WeftError('unavailable', 'the operator token file is not there yet', { where: { file: tokenFile } })
  }
  const a = Buffer.from(given)
  const b = Buffer.from(expected)
  if (a.length !== b.length || !timingSafeEqual(a, b)) throw new WeftError('permission_denied', 'that is not the operator token')
}

/** Whether a host is a loopback address or its usual name. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'))
}
