import { keyOf, type TypedObject } from '@weft/config/objects'
import { joinPath } from '@weft/config/path'
import type { Problem } from '@weft/config/problem'
import { bySpecificity, hostMatches } from './host.ts'
import type { Snapshot } from './snapshot.ts'

/**
 * Names that lead nowhere: hosts that no service has, gateways, delegates and subsets that do not exist. The objects
 * are used all the same (what they name may come later); these are warnings at their lines.
 */
export function findDanglingReferences(snapshot: Snapshot): Problem[] {
  const problems: Problem[] = [...snapshot.ingress.translated.problems]
  const hosts = [...snapshot.servicesByHost.keys()].filter((host) => host.startsWith('*')).sort(bySpecificity)
  const exists = (host: string): boolean =>
    snapshot.servicesByHost.has(host) || hosts.some((pattern) => hostMatches(pattern, host))
  for (const object of snapshot.objects.values()) {
    if (object.kind === 'VirtualService') checkDelegates(object, snapshot, problems)
  }
  for (const object of snapshot.virtualServices) checkVirtualService(object, snapshot, exists, problems)
  return problems
}

function warn(object: TypedObject<'VirtualService'>, path: string, message: string, hint: string): Problem {
  const { document } = object
  return { severity: 'warning', message, hint, file: document.file, line: document.lineOf(path), path, object: keyOf(object) }
}

function checkDelegates(object: TypedObject<'VirtualService'>, snapshot: Snapshot, problems: Problem[]): void {
  for (const [index, { delegate }] of object.spec.http.entries()) {
    if (delegate === undefined) continue
    const key = `VirtualService/${delegate.namespace || object.metadata.namespace}/${delegate.name}`
    if (snapshot.objects.has(key)) continue
    problems.push(warn(object, `spec.http[${index}].delegate`, `no ${key}`, 'this route is left out until there is one'))
  }
}

function checkVirtualService(
  object: TypedObject<'VirtualService'>,
  snapshot: Snapshot,
  exists: (host: string) => boolean,
  problems: Problem[],
): void {
  const { spec } = object
  for (const [index, gateway] of spec.gateways.entries()) {
    if (gateway === 'mesh' || snapshot.gateways.has(gateway)) continue
    const hint = 'the routes reach no gateway of that name until there is one'
    problems.push(warn(object, joinPath('spec.gateways', index), `no Gateway ${gateway}`, hint))
  }
  // Routes of delegates stand at other places than in this document: their own lines are theirs to tell.
  const written = snapshot.objects.get(keyOf(object))
  const delegating = written?.kind === 'VirtualService' && written.spec.http.some(({ delegate }) => delegate !== undefined)
  for (const list of ['http', 'tls', 'tcp'] as const) {
    if (list === 'http' && delegating) continue
    for (const [index, route] of spec[list].entries()) {
      for (const [which, { destination }] of route.route.entries()) {
        if (destination === undefined) continue
        const path = `spec.${list}[${index}].route[${which}].destination`
        if (!exists(destination.host)) {
          problems.push(
            warn(
              object,
              `${path}.host`,
              `no service has the host ${destination.host}`,
              unknownHostHint(destination.host, snapshot),
            ),
          )
        } else if (destination.subset !== '' && !hasSubset(destination.host, destination.subset, snapshot)) {
          const message = `no DestinationRule for ${destination.host} has the subset "${destination.subset}"`
          problems.push(warn(object, `${path}.subset`, message, 'requests to it answer 503 until one has'))
        }
      }
    }
  }
}

function hasSubset(host: string, subset: string, snapshot: Snapshot): boolean {
  return (snapshot.destinationRulesByHost.get(host) ?? [])
    .concat(snapshot.destinationRules.filter((rule) => rule.spec.host.startsWith('*') && hostMatches(rule.spec.host, host)))
    .some((rule) => rule.spec.subsets.some(({ name }) => name === subset))
}

function unknownHostHint(host: string, snapshot: Snapshot): string {
  const name = host.split('.', 1)[0]!
  const elsewhere = [...snapshot.servicesByHost.keys()].filter((other) => other.startsWith(`${name}.`)).slice(0, 3)
  const hint = 'requests to it answer 503 until a Service or ServiceEntry has it'
  return elsewhere.length === 0 ? hint : `did you mean ${elsewhere.join(' or ')}? ${hint}`
}
