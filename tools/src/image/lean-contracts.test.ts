import { transform } from 'esbuild'
import { expect, test } from 'vitest'
import { withoutUnreached } from './lean-contracts.ts'

/** As the generator writes a message that holds another. */
const message = (name: string, part?: string): string => `
export const ${name}: MessageFns<${name}> = {
  encode(message: ${name}, writer: BinaryWriter = new BinaryWriter()): BinaryWriter {
    ${part === undefined ? '' : `${part}.encode(message.part, writer.uint32(10).fork()).join();`}
    return writer;
  },

  decode(input: BinaryReader, length?: number): ${name} {
    return ${part === undefined ? '{}' : `{ part: ${part}.decode(input, length) }`};
  },

  create(base?: DeepPartial<${name}>): ${name} {
    return ${name}.fromPartial(base ?? {});
  },
  fromPartial(object: DeepPartial<${name}>): ${name} {
    return ${part === undefined ? '{}' : `{ part: ${part}.fromPartial(object.part) }`};
  },
};
`

/** The methods that are left, by message. */
async function left(...app: string[]): Promise<Record<string, string>> {
  const inner = `${message('Inner')}${message('Idle')}`
  const outer = `import { Inner as Inner1 } from './inner.ts';\nexport interface Inner { of: Outer }\n${message('Outer', 'Inner1')}`
  const stripped = async (text: string): Promise<string> => (await transform(text, { loader: 'ts' })).code
  const contracts = new Map([
    ['inner.ts', await stripped(inner)],
    ['outer.ts', await stripped(outer)],
  ])
  const found: Record<string, string> = {}
  for (const [file, code] of withoutUnreached((await Promise.all(app.map(stripped))).join(''), contracts)) {
    const module = await import(
      `data:text/javascript,${encodeURIComponent(`${code.replaceAll(/^import.*$/gm, '')}\n// ${file}\n`)}`
    )
    for (const [name, methods] of Object.entries(module as Record<string, object>)) found[name] = Object.keys(methods).join(' ')
  }
  return found
}

test('a method stays where it is called, and what it calls itself', async () => {
  const app =
    "import { Outer as O } from 'outer'\nexport const read = (bytes) => O.decode(bytes)\nexport const x = { ...O.create({}) }\n"
  expect(await left(app)).toEqual({ Inner: 'decode fromPartial', Outer: 'decode create fromPartial', Idle: '' })
})

test('a name of one file may be something else in another', async () => {
  const files = [
    "import { Outer } from 'outer'\nOuter.decode(bytes)\n",
    "import { Idle as Outer } from 'inner'\nOuter.encode({})\n",
  ]
  expect(await left(...files)).toMatchObject({ Inner: 'encode decode', Outer: 'encode decode', Idle: 'encode decode' })
})

test.each([
  'take(Outer)',
  'take(1, Outer, 2)',
  'x = { a: Outer }',
  'const [y] = [Outer]',
  'x = a ? Outer : b',
  'x = { ...Outer }',
  'x = Outer?.encode',
])('of a message that is handed on all stays: %s', async (use) => {
  const all = 'encode decode create fromPartial'
  expect(await left(`import { Outer } from 'outer'\nlet x\n${use}\n`)).toMatchObject({ Outer: all, Idle: '' })
})

test('words in a text and types are no use', async () => {
  const app =
    "import type { Outer } from 'outer'\nexport const of = (one: Outer) => take(one, 'google.Outer', `Idle ${one}`, 'Outer of')\n"
  expect(await left(app)).toEqual({ Inner: '', Outer: '', Idle: '' })
})
