import { createFileRegistry, createMutableRegistry, type DescFile, fromBinary, type Registry } from '@bufbuild/protobuf'
import { nestedTypes } from '@bufbuild/protobuf/reflect'
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'

/** Numbers of fields in google/protobuf/descriptor.proto. */
const inSet = { file: 1 }
const inFile = { name: 1, package: 2, message: 4, enum: 5, service: 6, extension: 7 }
const inType = { name: 1 }
const inExtension = { name: 1, extendee: 2, number: 3 }

/**
 * A registry over the bytes of a google.protobuf.FileDescriptorSet that makes descriptors of a file, and of those it imports, when a
 * type of it is first asked for: of Envoy's 423 files a proxy needs about 80. To go over all types makes all.
 */
export function lazyRegistry(set: Uint8Array): Registry {
  const files = new Map<string, Uint8Array>()
  /** Names of files, by the types at their top level and by `extendee/number`. */
  const fileOfType = new Map<string, string>()
  const fileOfExtension = new Map<string, string>()
  for (const { value: bytes } of fields(set, inSet.file)) {
    const { name, types, extensions } = outline(bytes)
    files.set(name, bytes)
    for (const type of types) fileOfType.set(type, name)
    for (const extension of extensions) fileOfExtension.set(extension, name)
  }

  const known = createMutableRegistry()
  const loaded = new Map<string, DescFile>()
  function load(name: string | undefined): void {
    const bytes = name === undefined ? undefined : files.get(name)
    if (name === undefined || bytes === undefined || loaded.has(name)) return
    const file = fromBinary(FileDescriptorProtoSchema, bytes)
    for (const imported of file.dependency) load(imported)
    const made = createFileRegistry(file, (imported) => loaded.get(imported)).getFile(name)
    if (made === undefined) return
    for (const type of nestedTypes(made)) known.add(type)
    // Whoever imports it sees what it imports publicly; all the rest would be gone through again with each import.
    const dependencies = file.publicDependency.flatMap((at) => loaded.get(file.dependency[at] ?? '') ?? [])
    loaded.set(name, { ...made, dependencies })
  }
  /** A nested type lies where the outermost around it lies. */
  function fileOf(typeName: string): string | undefined {
    for (let name = typeName; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
      const file = fileOfType.get(name)
      if (file !== undefined) return file
    }
    return undefined
  }
  return {
    kind: 'registry',
    [Symbol.iterator]() {
      for (const name of files.keys()) load(name)
      return known[Symbol.iterator]()
    },
    get(typeName) {
      load(fileOf(typeName))
      return known.get(typeName)
    },
    getMessage(typeName) {
      load(fileOf(typeName))
      return known.getMessage(typeName)
    },
    getEnum(typeName) {
      load(fileOf(typeName))
      return known.getEnum(typeName)
    },
    getExtension(typeName) {
      load(fileOf(typeName))
      return known.getExtension(typeName)
    },
    getExtensionFor(extendee, number) {
      load(fileOfExtension.get(`${extendee.typeName}/${number}`))
      return known.getExtensionFor(extendee, number)
    },
    getService(typeName) {
      load(fileOf(typeName))
      return known.getService(typeName)
    },
  }
}

/** What a file defines, read from its bytes alone. */
function outline(file: Uint8Array): { name: string; types: string[]; extensions: string[] } {
  let name = ''
  let prefix = ''
  const types: string[] = []
  const extensions: string[] = []
  for (const { number, value } of fields(file)) {
    if (number === inFile.name) name = textOf(value)
    if (number === inFile.package) prefix = `${textOf(value)}.`
    if (number === inFile.message || number === inFile.enum || number === inFile.service) types.push(first(value, inType.name))
    if (number === inFile.extension) {
      types.push(first(value, inExtension.name))
      extensions.push(`${first(value, inExtension.extendee).slice(1)}/${numberOf(value, inExtension.number)}`)
    }
  }
  return { name, types: types.map((type) => prefix + type), extensions }
}

/** The length-delimited fields of a message. */
function* fields(message: Uint8Array, wanted?: number): Generator<{ number: number; value: Uint8Array }> {
  const reader = new BinaryReader(message)
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    if (type === WireType.LengthDelimited && (wanted === undefined || wanted === number)) yield { number, value: reader.bytes() }
    else reader.skip(type, number)
  }
}

function first(message: Uint8Array, wanted: number): string {
  for (const { value } of fields(message, wanted)) return textOf(value)
  return ''
}

function numberOf(message: Uint8Array, wanted: number): number {
  const reader = new BinaryReader(message)
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    if (number === wanted && type === WireType.Varint) return reader.uint32()
    reader.skip(type, number)
  }
  return 0
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}
