import type { TemplateName } from '../adapter.ts'
import { apikey } from './apikey.ts'
import { authorization } from './authorization.ts'
import { checknothing } from './checknothing.ts'
import { kubernetes } from './kubernetes.ts'
import { listentry } from './listentry.ts'
import { logentry } from './logentry.ts'
import { metric } from './metric.ts'
import { quota } from './quota.ts'
import { reportnothing } from './reportnothing.ts'
import type { Template } from './template.ts'
import { tracespan } from './tracespan.ts'

/** All templates by name. */
export const templates: Readonly<Record<TemplateName, Template>> = {
  apikey,
  authorization,
  checknothing,
  kubernetes,
  listentry,
  logentry,
  metric,
  quota,
  reportnothing,
  tracespan,
}

/** True for the name of a template. */
export function isTemplateName(name: string): name is TemplateName {
  return Object.hasOwn(templates, name)
}
