import { type Bag, bagOf, MutableBag } from '@weft/attributes/bag'
import { applyAttributes, decodeAttributes } from '@weft/attributes/decoding'
import { Duration } from '@weft/attributes/duration'
import { encodeAttributes, sameValue } from '@weft/attributes/encoding'
import { TrackedBag } from '@weft/attributes/references'
import type { AttributeValue } from '@weft/attributes/types'
import { globalWordsOfSender, WordWriter, wordReader } from '@weft/attributes/words'
import type { CompressedAttributes } from '@weft/contracts/istio/mixer/v1/attributes'
import { goBag, goDuration, goField, goValue, type Idents } from '../../go-values.ts'
import { array, type Json, type JsonObject, object, optionalObject, text } from '../../read.ts'
import type { CaseResult } from '../../suite.ts'

/** What one Go test function declares, gathered in order. */
interface Table {
  name: string
  globalWords: string[]
  /** `attrs…` variables: messages to read, one after the other. */
  messages: CompressedAttributes[]
  /** All other variables. */
  variables: Map<string, Json>
}

/**
 * The tables of a Go test of attribute bags. What each test asserts follows from what it declares: messages
 * with expected values, messages that cannot be read, references, values to send there and back, word lists.
 */
export function bagTables(file: JsonObject): CaseResult[] {
  const rows = array(file['tables'], 'tables').map((row) => object(row, 'table'))
  const idents = fileVariables(rows)
  const tables = gather(rows, idents)
  const results: CaseResult[] = []
  let lastMessages: Table | undefined
  for (const table of tables) {
    if (table.messages.length > 0) lastMessages = table
    // A test may take its messages from a helper declared before it.
    const source = table.messages.length > 0 ? table : (lastMessages ?? table)
    for (const result of play(table, source, idents)) results.push({ ...result, name: `${table.name}: ${result.name}` })
  }
  return results
}

function play(table: Table, source: Table, idents: Idents): CaseResult[] {
  const { variables } = table
  const cases = variables.get('cases')
  if (cases !== undefined)
    return playCases(
      array(cases, 'cases').map((entry) => object(entry, 'case')),
      source,
      idents,
    )
  const results = variables.get('results')
  if (results !== undefined)
    return playLayers(
      array(results, 'results').map((entry) => object(entry, 'result')),
      source,
      idents,
    )
  const values = variables.get('m')
  if (values !== undefined) return [thereAndBack(goBag(object(values, 'm'), idents, []))]
  const long = variables.get('longGlobalWordList')
  if (long !== undefined) return playWordCounts(wordList(long), wordList(variables.get('shortGlobalWordList')))
  if (table.messages.length > 0) return [playMessages(table)]
  return table.globalWords.length > 0 ? [playWords(table.globalWords)] : []
}

/** Values, or references with a condition, or names that an unreadable message must not give. */
function playCases(cases: JsonObject[], source: Table, idents: Idents): CaseResult[] {
  const bag = new MutableBag()
  let refused: string | undefined
  try {
    for (const message of source.messages) applyAttributes(bag, message, wordReader(message.words, source.globalWords))
  } catch (thrown) {
    refused = thrown instanceof Error ? thrown.message : String(thrown)
  }
  return cases.map((one): CaseResult => {
    const name = text(one['name'], 'name')
    if (one['cond'] !== undefined) return playReference(name, one, bag)
    const expected = goValue(one['value'], idents)
    const actual = bag.get(name)
    return {
      name,
      passed: expected === undefined ? actual === undefined : isSame(expected, actual),
      expected,
      actual: actual ?? refused,
    }
  })
}

function playReference(name: string, one: JsonObject, bag: Bag): CaseResult {
  const tracked = new TrackedBag(bag)
  const key = one['mapKey'] === '' || one['mapKey'] === undefined ? undefined : text(one['mapKey'], 'mapKey')
  // A condition of -1 says that this name is never asked for, so nothing may be noted of it.
  if (one['cond'] !== -1) {
    if (key === undefined) tracked.get(name)
    else tracked.getEntry(name, key)
  }
  const expected = one['cond'] === -1 ? [] : [{ name, key, condition: text(one['cond'], 'cond').toLowerCase() }]
  const actual = tracked.references()
  return { name: `reference ${name} ${key ?? ''}`, passed: JSON.stringify(actual) === JSON.stringify(expected), expected, actual }
}

/** A decoded bag with a child over it: what the child sets shows, the rest shows through. */
function playLayers(results: JsonObject[], source: Table, idents: Idents): CaseResult[] {
  const parent = new MutableBag()
  for (const message of source.messages) applyAttributes(parent, message, wordReader(message.words, source.globalWords))
  const child = new MutableBag(parent)
  for (const { name, value } of results) {
    const expected = goValue(value, idents)
    const inherited = parent.get(text(name, 'name'))
    if (expected !== undefined && !isSame(expected, inherited)) child.set(text(name, 'name'), alike(expected, inherited))
  }
  return results.map(({ name, value }): CaseResult => {
    const attribute = text(name, 'name')
    const expected = goValue(value, idents)
    const actual = child.get(attribute)
    const inParent = parent.get(attribute) !== undefined
    return {
      name: `layer ${attribute}`,
      passed: inParent && expected !== undefined && isSame(expected, actual),
      expected,
      actual,
    }
  })
}

/** A whole number stands for a double where the attribute is one. */
function alike(value: AttributeValue, example: AttributeValue | undefined): AttributeValue {
  return typeof value === 'bigint' && typeof example === 'number' ? Number(value) : value
}

/** Messages without expectations: the bag is what the indexes say, or they are refused if an index says nothing. */
function playMessages(table: Table): CaseResult {
  const expected = new Map<string, AttributeValue>()
  let isReadable = true
  for (const message of table.messages) {
    for (const [name, value] of resolve(message, table.globalWords)) {
      if (name === undefined || value === undefined) isReadable = false
      else expected.set(name, value)
    }
  }
  const bag = new MutableBag()
  let actual: unknown = bag
  try {
    for (const message of table.messages) applyAttributes(bag, message, wordReader(message.words, table.globalWords))
    actual = Object.fromEntries([...bag.names()].map((name) => [name, bag.get(name)]))
  } catch (thrown) {
    actual = `refused: ${thrown instanceof Error ? thrown.message : String(thrown)}`
  }
  const matches =
    [...expected].every(([name, value]) => isSame(value, bag.get(name))) && [...bag.names()].every((name) => expected.has(name))
  return {
    name: `${table.messages.length} message(s)`,
    passed: isReadable ? matches && typeof actual !== 'string' : typeof actual === 'string',
    expected: isReadable ? Object.fromEntries(expected) : 'refused',
    actual,
  }
}

/** A message read the slow way, to compare with. */
function resolve(message: CompressedAttributes, globalWords: string[]): [string | undefined, AttributeValue | undefined][] {
  const word = (index: number) => (index < 0 ? message.words[-1 - index] : globalWords[index])
  const named = <T>(field: { [index: number]: T }, convert: (value: T) => AttributeValue | undefined) =>
    Object.entries(field).map(([index, value]): [string | undefined, AttributeValue | undefined] => [
      word(Number(index)),
      convert(value),
    ])
  return [
    ...named(message.strings, word),
    ...named(message.int64s, BigInt),
    ...named(message.doubles, (value) => value),
    ...named(message.bools, (value) => value),
    ...named(message.timestamps, (value) => value),
    ...named(message.durations, (value) => new Duration(value.seconds, value.nanos)),
    ...named(message.bytes, (value) => value),
    ...named(message.stringMaps, ({ entries }) => {
      const pairs = Object.entries(entries).map(([key, value]) => [word(Number(key)), word(value)] as const)
      const known = pairs.flatMap(([key, value]): [string, string][] =>
        key === undefined || value === undefined ? [] : [[key, value]],
      )
      return known.length === pairs.length ? new Map(known) : undefined
    }),
  ]
}

function thereAndBack(bag: Bag): CaseResult {
  const back = decodeAttributes(encodeAttributes(bag))
  const expected = Object.fromEntries([...bag.names()].map((name) => [name, bag.get(name)]))
  const actual = Object.fromEntries([...back.names()].map((name) => [name, back.get(name)]))
  const passed =
    Object.keys(expected).length === Object.keys(actual).length &&
    Object.entries(expected).every(([name, value]) => value !== undefined && isSame(value, actual[name]))
  return { name: 'there and back', passed, expected, actual }
}

/** A sender with a shorter dictionary spells out what it lacks; one with a longer dictionary is refused. */
function playWordCounts(long: string[], short: string[]): CaseResult[] {
  const bag = bagOf(Object.fromEntries(long.map((word) => [word, word])))
  const words = new WordWriter(globalWordsOfSender(short.length, long))
  const message = encodeAttributes(bag, words)
  const back = decodeAttributes(message, wordReader(message.words, globalWordsOfSender(short.length, long)))
  let refusal = 'accepted'
  try {
    globalWordsOfSender(long.length, short)
  } catch {
    refusal = 'refused'
  }
  return [
    {
      name: 'a shorter dictionary',
      passed: long.every((word) => back.get(word) === word) && message.words.length === long.length - short.length,
      expected: long,
      actual: message,
    },
    { name: 'a longer dictionary', passed: refusal === 'refused', expected: 'refused', actual: refusal },
  ]
}

/** Words that a dictionary has get its indexes, others the message's own, each once. */
function playWords(globalWords: string[]): CaseResult {
  const words = new WordWriter(globalWords)
  const indexes = [...globalWords, 'M1', 'M2', 'M1'].map((word) => words.index(word))
  const expected = [...globalWords.keys(), -1, -2, -1]
  return { name: 'word indexes', passed: JSON.stringify(indexes) === JSON.stringify(expected), expected, actual: indexes }
}

/** Equal, where the tables' whole numbers may stand for doubles. */
function isSame(expected: AttributeValue, actual: AttributeValue | undefined): boolean {
  if (typeof expected === 'bigint' && typeof actual === 'number') return Number(expected) === actual
  return sameValue(expected, actual)
}

/** Variables outside of any function; whole numbers among them are time.Durations. */
function fileVariables(rows: JsonObject[]): Idents {
  const idents = new Map<string, AttributeValue>()
  for (const row of rows) {
    const value =
      goDuration(row['value']) ?? (row['func'] === '' || isMapLiteral(row) ? goValue(row['value'], idents) : undefined)
    if (value !== undefined) idents.set(text(row['var'], 'var'), value)
  }
  return idents
}

/** `m1 := map[string]string{…}`: values that results refer to. */
function isMapLiteral(row: JsonObject): boolean {
  const value = row['value']
  return /^m\d+$/.test(String(row['var'])) && typeof value === 'object' && value !== null && !Array.isArray(value)
}

function gather(rows: JsonObject[], idents: Idents): Table[] {
  const tables = new Map<string, Table>()
  for (const row of rows) {
    const name = text(row['func'], 'func')
    if (name === '') continue
    let table = tables.get(name)
    if (table === undefined) {
      table = { name, globalWords: [], messages: [], variables: new Map() }
      tables.set(name, table)
    }
    const variable = text(row['var'], 'var')
    const value = row['value'] ?? null
    if (variable === 'globalWordList' || (variable === 'globalDict' && Array.isArray(value))) table.globalWords = wordList(value)
    else if (variable.startsWith('attrs')) table.messages.push(messageOf(object(value, variable), table.variables, idents))
    else table.variables.set(variable, value)
  }
  return [...tables.values()]
}

function wordList(value: Json | undefined): string[] {
  return array(value, 'word list').map((word) => text(word, 'word'))
}

/** A Go CompressedAttributes literal as a message; `{"$ident": …}` refers to the function's variables or the file's. */
function messageOf(literal: JsonObject, variables: ReadonlyMap<string, Json>, idents: Idents): CompressedAttributes {
  const local = (value: Json | undefined): Json | undefined => {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
    const ident = value['$ident']
    return typeof ident === 'string' ? (variables.get(ident) ?? value) : value
  }
  const field = <T>(name: string, convert: (value: Json) => T): { [index: number]: T } =>
    Object.fromEntries(
      Object.entries(goField(literal, name)).map(([index, value]) => [Number(index), convert(local(value) ?? null)]),
    )
  const words = local(literal['Words'])
  return {
    words: words === undefined || words === null ? [] : wordList(words),
    strings: field('Strings', Number),
    int64s: field('Int64S', Number),
    doubles: field('Doubles', Number),
    bools: field('Bools', (value) => value === true),
    timestamps: field('Timestamps', (value) => {
      const time = goValue(value, idents)
      return time instanceof Date ? time : new Date(Number.NaN)
    }),
    durations: field('Durations', (value) => {
      const span = goDuration(value) ?? goValue(value, idents)
      return span instanceof Duration ? { seconds: span.seconds, nanos: span.nanos } : { seconds: 0, nanos: 0 }
    }),
    bytes: field('Bytes', (value) => Buffer.from(array(value, 'bytes').map(Number))),
    stringMaps: field('StringMaps', (value) => ({
      entries: Object.fromEntries(
        Object.entries(optionalObject(goField(object(value, 'string map'), 'Entries'), 'Entries')).map(([key, entry]) => [
          Number(key),
          Number(entry),
        ]),
      ),
    })),
  }
}
