import type {
  ScopedRoutes_ScopeKeyBuilder_FragmentBuilder as FragmentBuilder,
  ScopedRoutes,
} from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { headerName } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import { invalid, unsupported } from '../plan/problems.ts'
import type { RouteTable } from './route-table.ts'

type Fragment = (request: RequestHead) => string | null

/** Route tables of which a request's headers choose one. */
export interface ScopedRouteTables {
  /** null: the request has no scope, or one that nobody knows. */
  tableOf(request: RequestHead): RouteTable | null
}

/** Compiles scoped_routes whose configurations stand in it; `compile` makes a table of one at the path. */
export function compileScopedRoutes(
  source: ScopedRoutes,
  path: string,
  compile: (configuration: NonNullable<ScopedConfiguration['routeConfiguration']>, path: string) => RouteTable,
): ScopedRouteTables {
  const builders = source.scopeKeyBuilder?.fragments ?? []
  if (builders.length === 0) throw invalid(`${path}.scope_key_builder`, 'fragments are needed')
  const fragments = builders.map((builder, i) => compileFragment(builder, `${path}.scope_key_builder.fragments[${i}]`))
  const specifier = source.configSpecifier
  if (specifier?.$case !== 'scopedRouteConfigurationsList') throw unsupported(`${path}.scoped_rds`, 'scoped RDS')
  const tables = new Map<string, RouteTable>()
  specifier.value.scopedRouteConfigurations.forEach((scope, i) => {
    const at = `${path}.scoped_route_configurations_list.scoped_route_configurations[${i}]`
    if (scope.routeConfigurationName !== '' && scope.routeConfiguration !== undefined)
      throw invalid(`${at}.route_configuration_name`, 'routes by RDS are not for scopes that are inline')
    if (scope.routeConfiguration === undefined)
      throw unsupported(`${at}.route_configuration_name`, 'a scope whose routes come by RDS')
    const key = keyOf((scope.key?.fragments ?? []).map((fragment) => fragment.type?.value ?? ''))
    // Of two scopes with one key the later counts.
    tables.set(key, compile(scope.routeConfiguration, `${at}.route_configuration.`))
  })
  return {
    tableOf(request) {
      const values: string[] = []
      for (const fragment of fragments) {
        const value = fragment(request)
        if (value === null) return null
        values.push(value)
      }
      return tables.get(keyOf(values)) ?? null
    },
  }
}

type ScopedConfiguration = Extract<
  NonNullable<ScopedRoutes['configSpecifier']>,
  { $case: 'scopedRouteConfigurationsList' }
>['value']['scopedRouteConfigurations'][number]

function keyOf(fragments: readonly string[]): string {
  return JSON.stringify(fragments)
}

function compileFragment(builder: FragmentBuilder, path: string): Fragment {
  const extractor = builder.type?.value
  if (extractor === undefined) throw invalid(path, 'header_value_extractor is needed')
  const name = headerName(extractor.name)
  const { elementSeparator, extractType } = extractor
  if (extractType === undefined) throw invalid(`${path}.header_value_extractor`, 'one of index and element is needed')
  if (extractType.$case === 'index' && elementSeparator === '' && extractType.value !== 0)
    throw invalid(`${path}.header_value_extractor.index`, 'an index above 0 needs an element_separator')
  return (request) => {
    const value = request.headers.get(name)
    if (value === null) return null
    const elements = elementSeparator === '' ? [value] : value.split(elementSeparator)
    switch (extractType.$case) {
      case 'index':
        return elements[extractType.value] ?? null
      case 'element': {
        const { separator, key } = extractType.value
        for (const element of elements) {
          const at = element.indexOf(separator)
          if (at < 0 ? element === key : element.slice(0, at) === key) return at < 0 ? '' : element.slice(at + separator.length)
        }
        return null
      }
    }
  }
}
