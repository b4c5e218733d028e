import {
  type AccessLogging_Filter,
  type MetricsOverrides,
  MetricsOverrides_TagOverride_Operation as Operation,
  type ProviderRef,
  type Telemetry,
  type Tracing,
} from '@weft/contracts/istio/telemetry/v1alpha1/telemetry'
import type { Report } from './report.ts'
import { checkDuration } from './scalars.ts'
import { checkTargets } from './target-refs.ts'

/** The rules of a Telemetry. */
export function checkTelemetry(spec: Telemetry, report: Report): void {
  checkTargets(spec, report)
  if (spec.tracing.length > 1)
    report.at('tracing').warn('multiple tracing is not supported: where they contradict each other the last holds')
  for (const [index, tracing] of spec.tracing.entries()) checkTracing(tracing, report.at('tracing', index))
  for (const [index, { providers, overrides, reportingInterval }] of spec.metrics.entries()) {
    const at = report.at('metrics', index)
    checkProviders(providers, at)
    checkDuration(reportingInterval, at.at('reportingInterval'))
    for (const [which, override] of overrides.entries()) checkOverride(override, at.at('overrides', which))
  }
  for (const [index, { providers, filter }] of spec.accessLogging.entries()) {
    const at = report.at('accessLogging', index)
    checkProviders(providers, at)
    if (filter !== undefined) checkFilter(filter, at.at('filter', 'expression'))
  }
}

function checkProviders(providers: readonly ProviderRef[], report: Report): void {
  for (const [index, { name }] of providers.entries()) {
    if (name === '') report.at('providers', index, 'name').error('name in body should be at least 1 chars long')
  }
}

function checkTracing({ providers, randomSamplingPercentage, customTags }: Tracing, report: Report): void {
  checkProviders(providers, report)
  if (providers.length > 1) report.at('providers').warn('multiple providers are not supported: the first holds')
  if (randomSamplingPercentage !== undefined && !(randomSamplingPercentage >= 0 && randomSamplingPercentage <= 100)) {
    report.at('randomSamplingPercentage').error('randomSamplingPercentage must be in range 0..100')
  }
  for (const [name, { type }] of Object.entries(customTags)) {
    const at = report.at('customTags', name)
    if (name === '') at.error('a tag must have a name')
    if (type === undefined) at.error(`tag '${name}' may not have a nil value`)
    else if (type.$case === 'environment' && type.value.name === '')
      at.at('environment', 'name').error('the variable must have a name')
    else if (type.$case === 'header' && type.value.name === '') at.at('header', 'name').error('the header must have a name')
  }
}

function checkOverride({ match, tagOverrides }: MetricsOverrides, report: Report): void {
  if (match?.metricMatch?.$case === 'customMetric' && match.metricMatch.value === '') {
    report.at('match', 'customMetric').error('customMetric in body should be at least 1 chars long')
  }
  for (const [tag, { operation, value }] of Object.entries(tagOverrides)) {
    const at = report.at('tagOverrides', tag, 'value')
    if (tag === '') report.at('tagOverrides').error('a tag must have a name')
    if (operation === Operation.UPSERT && value === '') at.error('value must be set when operation is UPSERT')
    if (operation === Operation.REMOVE && value !== '') at.error('value must not be set when operation is REMOVE')
  }
}

const closing: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/** Only that brackets and quotes fit: what of CEL a proxy takes it says itself. */
function checkFilter({ expression }: AccessLogging_Filter, report: Report): void {
  const wrong = unbalanced(expression)
  if (wrong !== undefined) report.error(`the filter is no CEL expression: ${wrong}`)
}

function unbalanced(expression: string): string | undefined {
  const open: string[] = []
  for (const token of expression.match(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|["'()[\]{}]/g) ?? []) {
    if (token.length > 1) continue
    if (token === '"' || token === "'") return 'a quote has no end'
    const close = closing[token]
    if (close !== undefined) open.push(close)
    else if (open.pop() !== token) return `a ${token} too many`
  }
  return open.length === 0 ? undefined : `a ${open.at(-1)} is missing`
}
