import { StringValue } from '@weft/contracts/google/protobuf/wrappers'
import { Matcher } from '@weft/contracts/xds/type/matcher/v3/matcher'
import { expect, test } from 'vitest'
import type { ConnectionTraits } from './filter-chain-match.ts'
import { compileChainTree } from './filter-chain-tree.ts'

const prefix = 'type.googleapis.com/'
const none = Buffer.alloc(0)

/** A tree that looks for the values of an input, and names a chain for each. */
function tree(input: string, map: Readonly<Record<string, string>>): Matcher {
  const onMatch = (value: string) => ({
    onMatch: {
      $case: 'action' as const,
      value: {
        name: 'chain',
        typedConfig: {
          typeUrl: `${prefix}google.protobuf.StringValue`,
          value: Buffer.from(StringValue.encode({ value }).finish()),
        },
      },
    },
  })
  const entries = Object.entries(map).map(([value, chain]) => [value, onMatch(chain)])
  const treeType = { $case: 'exactMatchMap' as const, value: { map: Object.fromEntries(entries) } }
  const typed = { name: 'input', typedConfig: { typeUrl: prefix + input, value: none } }
  return Matcher.fromPartial({ matcherType: { $case: 'matcherTree', value: { input: typed, treeType } } })
}

const network = 'envoy.extensions.matching.common_inputs.network.v3.'
const traits: ConnectionTraits = {
  ...{ localAddress: '10.0.0.1', localPort: 443, remoteAddress: '10.9.0.1', remotePort: 5000, directRemoteAddress: '10.8.0.1' },
  ...{ serverName: 'one.test', transportProtocol: 'tls', applicationProtocols: ['x', 'http/1.1'] },
}

test.each([
  ['DestinationIPInput', '10.0.0.1'],
  ['DestinationPortInput', '443'],
  ['SourceIPInput', '10.9.0.1'],
  ['SourcePortInput', '5000'],
  ['DirectSourceIPInput', '10.8.0.1'],
  ['ServerNameInput', 'one.test'],
  ['TransportProtocolInput', 'tls'],
  ['ApplicationProtocolInput', "'x','http/1.1'"],
])('%s is %s: the chain of that name takes the connection', (input, value) => {
  const chains = new Map([['of-the-tree', 1]])
  expect(compileChainTree(tree(network + input, { [value]: 'of-the-tree' }), 'here', chains, 0).find(traits)).toBe(1)
  expect(compileChainTree(tree(network + input, { other: 'of-the-tree' }), 'here', chains, 0).find(traits)).toBe(0)
})

test('a name that no chain has leads nowhere, not to the default', () => {
  const choice = compileChainTree(tree(`${network}ServerNameInput`, { 'one.test': 'nobody' }), 'here', new Map(), 0)
  expect(choice.find(traits)).toBeNull()
})

test('an input that needs a request is refused', () => {
  const source = tree('envoy.type.matcher.v3.HttpRequestHeaderMatchInput', { a: 'b' })
  expect(() => compileChainTree(source, 'here', new Map(), 0)).toThrow(/HttpRequestHeaderMatchInput/)
})
