import { HeaderMutation as Mutation } from '@weft/contracts/envoy/config/common/mutation_rules/v3/mutation_rules'
import { HeaderValueOption_HeaderAppendAction as Action } from '@weft/contracts/envoy/config/core/v3/base'
import {
  HeaderMutation,
  HeaderMutationPerRoute,
} from '@weft/contracts/envoy/extensions/filters/http/header_mutation/v3/header_mutation'
import { headerName } from '@weft/http/header-name'
import { describe, expect, it } from 'vitest'
import { FakeContext } from './fake-context.ts'
import { FakeStream } from './fake-stream.ts'
import { compileMutations, editHead } from './head-edit.ts'
import { headerMutation } from './header-mutation/index.ts'
import { mergeMetadata } from './metadata-merge.ts'

function mutation(key: string, value: string, appendAction: Action): Mutation {
  return Mutation.fromPartial({ action: { $case: 'append', value: { header: { key, value }, appendAction } } })
}

function edited(mutations: Mutation[], headers: Record<string, string>): Record<string, string | null> {
  const stream = new FakeStream({ path: '/p', headers })
  editHead(compileMutations(mutations, 'test'), stream.format, stream.request)
  return Object.fromEntries(['x-a', 'x-b'].map((name) => [name, stream.request.headers.getAll(headerName(name))]))
}

describe('edits of a head', () => {
  it.each([
    [Action.APPEND_IF_EXISTS_OR_ADD, { 'x-a': 'old,/p', 'x-b': '/p' }],
    [Action.ADD_IF_ABSENT, { 'x-a': 'old', 'x-b': '/p' }],
    [Action.OVERWRITE_IF_EXISTS_OR_ADD, { 'x-a': '/p', 'x-b': '/p' }],
    [Action.OVERWRITE_IF_EXISTS, { 'x-a': '/p', 'x-b': null }],
  ])('follow action %i, with values from the request', (action, expected) => {
    const both = ['x-a', 'x-b'].map((name) => mutation(name, '%REQ(:path)%', action))
    expect(edited(both, { 'x-a': 'old' })).toEqual(expected)
  })

  it('remove headers, and add none for an empty value', () => {
    const remove = Mutation.fromPartial({ action: { $case: 'remove', value: 'x-a' } })
    const empty = mutation('x-b', '%REQ(x-none)%', Action.APPEND_IF_EXISTS_OR_ADD)
    expect(edited([remove, empty], { 'x-a': 'old' })).toEqual({ 'x-a': null, 'x-b': null })
  })

  it('leave pseudo headers and host alone, at configuration', () => {
    for (const name of [':path', 'Host'])
      expect(() => compileMutations([mutation(name, 'x', Action.APPEND_IF_EXISTS_OR_ADD)], 'test')).toThrow(/may not be modified/)
  })
})

describe('header_mutation', () => {
  const level = (value: string) => ({
    mutations: {
      requestMutations: [mutation('x-a', value, Action.OVERWRITE_IF_EXISTS_OR_ADD)],
      responseMutations: [],
    },
  })

  it.each([
    [false, 'host'],
    [true, 'route'],
  ])('applies all levels of a route; most specific wins: %s', (mostSpecificHeaderMutationsWins, winner) => {
    const context = new FakeContext()
    const bytes = HeaderMutation.encode(
      HeaderMutation.fromPartial({ ...level('filter'), mostSpecificHeaderMutationsWins }),
    ).finish()
    const filter = headerMutation.compile(bytes, context)
    const [route, host] = ['route', 'host'].map((name) =>
      headerMutation.compileRouteConfig?.(
        HeaderMutationPerRoute.encode(HeaderMutationPerRoute.fromPartial(level(name))).finish(),
        '',
        context,
      ),
    )
    const stream = new FakeStream()
    filter.start(stream, filter.mergeRouteConfigs?.([route, host]))?.onRequestHeaders?.(stream, true)
    expect(stream.request.headers.get(headerName('x-a'))).toBe(winner)
    context.close()
  })
})

describe('metadata', () => {
  it('merges objects by field and lists by appending, and leaves what it merges as it is', () => {
    const target: Record<string, unknown> = { a: 1, list: [1], object: { x: 1 } }
    const update = { a: 'two', list: [2], object: { y: 2 } }
    mergeMetadata(target, update)
    expect(target).toEqual({ a: 'two', list: [1, 2], object: { x: 1, y: 2 } })
    expect(update).toEqual({ a: 'two', list: [2], object: { y: 2 } })
  })
})
