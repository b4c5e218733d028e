import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CasesAbsent } from './suite.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

/** A case file's content. Throws CasesAbsent when it is not there, and an error that names the file when it is no JSON. */
export function readCases(dir: string, file: string): JsonObject {
  const path = join(dir, file)
  if (!existsSync(path)) throw new CasesAbsent(`${path} is not there`)
  try {
    const content: Json = JSON.parse(readFileSync(path, 'utf8'))
    return object(content, file)
  } catch (thrown) {
    throw new Error(`${path}: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
  }
}

/** The JSON files of a case folder, by name. */
export function listCases(dir: string, folder: string): string[] {
  const path = join(dir, folder)
  if (!existsSync(path)) throw new CasesAbsent(`${path} is not there`)
  return readdirSync(path)
    .filter((name) => name.endsWith('.json'))
    .sort()
}

// Case files are other projects' data, so their shape is checked as it is read.

export function object(value: Json | undefined, what: string): JsonObject {
  if (value === undefined || value === null || typeof value !== 'object' || Array.isArray(value))
    throw new Error(`${what} is no object`)
  return value
}

export function array(value: Json | undefined, what: string): Json[] {
  if (!Array.isArray(value)) throw new Error(`${what} is no list`)
  return value
}

export function text(value: Json | undefined, what: string): string {
  if (typeof value !== 'string') throw new Error(`${what} is no string`)
  return value
}

export function number(value: Json | undefined, what: string): number {
  if (typeof value !== 'number') throw new Error(`${what} is no number`)
  return value
}

/** A list that may be left out or null. */
export function optionalArray(value: Json | undefined, what: string): Json[] {
  return value === undefined || value === null ? [] : array(value, what)
}

/** An object that may be left out or null. */
export function optionalObject(value: Json | undefined, what: string): JsonObject {
  return value === undefined || value === null ? {} : object(value, what)
}
