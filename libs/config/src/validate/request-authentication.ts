import type { JWTRule, RequestAuthentication } from '@weft/contracts/istio/security/v1beta1/request_authentication'
import { isRecord } from '../document.ts'
import { checkHeaderName } from './headers.ts'
import type { Report } from './report.ts'
import { checkDuration } from './scalars.ts'
import { checkTargets } from './target-refs.ts'

/** The rules of a RequestAuthentication. */
export function checkRequestAuthentication(
  spec: RequestAuthentication,
  annotations: Readonly<Record<string, string>>,
  report: Report,
): void {
  if ('istio.io/dry-run' in annotations) report.error('the annotation istio.io/dry-run is for AuthorizationPolicy alone')
  checkTargets(spec, report)
  for (const [index, rule] of spec.jwtRules.entries()) checkRule(rule, report.at('jwtRules', index))
}

function checkRule(rule: JWTRule, report: Report): void {
  if (rule.issuer === '') report.at('issuer').error('issuer must be set')
  for (const [index, audience] of rule.audiences.entries()) {
    if (audience === '') report.at('audiences', index).error('an audience may not be empty')
  }
  if (rule.jwks !== '' && rule.jwksUri !== '') report.at('jwks').error('jwks and jwksUri exclude each other')
  if (rule.jwksUri !== '') checkUri(rule.jwksUri, report.at('jwksUri'))
  if (rule.jwks !== '') checkJwks(rule.jwks, report.at('jwks'))
  for (const [index, { name }] of rule.fromHeaders.entries())
    checkHeaderName(name, report.at('fromHeaders', index, 'name'), false)
  for (const list of ['fromParams', 'fromCookies', 'spaceDelimitedClaims'] as const) {
    for (const [index, name] of rule[list].entries()) if (name === '') report.at(list, index).error('a name may not be empty')
  }
  for (const [index, { header, claim }] of rule.outputClaimToHeaders.entries()) {
    const at = report.at('outputClaimToHeaders', index)
    checkHeaderName(header, at.at('header'), false)
    if (claim === '') at.at('claim').error('claim must be set')
  }
  if (rule.outputPayloadToHeader !== '') checkHeaderName(rule.outputPayloadToHeader, report.at('outputPayloadToHeader'), false)
  checkDuration(rule.timeout, report.at('timeout'))
}

function checkUri(text: string, report: Report): void {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) report.error(`"${text}" is no URL`)
  else if (url.protocol !== 'https:' && url.protocol !== 'http:') report.error('the URL must begin with https:// or http://')
}

function checkJwks(text: string, report: Report): void {
  try {
    const keys: unknown = JSON.parse(text)
    if (isRecord(keys) && Array.isArray(keys['keys'])) return
    report.error('a JWKS is an object with a list of keys')
  } catch (error) {
    report.error(`the JWKS is no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}
