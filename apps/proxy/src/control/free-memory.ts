import { readFileSync, readlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { forgetDescriptors } from '@weft/contracts/descriptors'
import { collectGarbage } from '@weft/service/lean-memory'
import type * as Koffi from 'koffi'

/** Growth of the process's own resident memory from which on it is worth a trim. */
const grownBytes = 8 * 1024 * 1024

/** What runs of Node's binary is back soon after a trim (15 MiB): pages of files are worth one from this growth on. */
const grownFileBytes = 4 * 1024 * 1024

/** Of a process so small, garbage is collected for what descriptors take; a large one takes longer, and loses little by it. */
const smallBytes = 256 * 1024 * 1024

/** How long nobody has to have asked for the descriptors by which configuration is read. */
const unusedMs = 10_000

/** Libraries that Node's binary names, which therefore stay where they are as long as the process lives. */
const lasting = /\/lib(c|m|gcc_s|stdc\+\+)\.so[^/]*$/

/** Of Linux: pages are no longer this process's; those of a file come back from the page cache when they are touched. */
const MADV_DONTNEED = 4

let release: (() => void) | undefined

/**
 * Gives the system memory that the process holds though it does not need it: what the C library keeps though it is free (V8's
 * compilers and certificates leave 20 MiB after a minute of load, 4 ms), and pages of Node's binary and of the C and C++ libraries. Of those a
 * start touches 50 MiB, and traffic half of them again: each costs a fault without a read from the disk (2 ms for all). Does nothing where the C library is
 * another than GNU's, or without koffi.
 */
export function trimMemory(): void {
  release ??= loadRelease()
  release()
}

function loadRelease(): () => void {
  if (process.platform !== 'linux') return () => undefined
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
    const library = koffi.load(null)
    const trim = library.func('int malloc_trim(size_t)')
    const advise = library.func('int madvise(uintptr_t, size_t, int)')
    return () => {
      trim(0)
      const binary = readlinkSync('/proc/self/exe')
      for (const { start, bytes } of unchangedMappings(readSelf('smaps'), (file) => file === binary || lasting.test(file)))
        advise(start, bytes, MADV_DONTNEED)
    }
  } catch {
    return () => undefined
  }
}

function readSelf(file: string): string {
  return readFileSync(`/proc/self/${file}`, 'latin1')
}

/**
 * The places in memory that are nothing but one of the `wanted` files: private, not to be written, and no page of them ever was (as those are
 * into which the loader has put addresses, and which would lose them). From the text of `/proc/self/smaps` (proc_pid_smaps(5)).
 */
export function unchangedMappings(smaps: string, wanted: (file: string) => boolean): { start: number; bytes: number }[] {
  const found: { start: number; bytes: number }[] = []
  for (const mapping of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const [, start = '', end = '', path = ''] = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \d+ +(.+)$/m.exec(mapping) ?? []
    if (!wanted(path) || !/^Anonymous: +0 kB$/m.test(mapping)) continue
    const from = Number.parseInt(start, 16)
    found.push({ start: from, bytes: Number.parseInt(end, 16) - from })
  }
  return found
}

/** The resident memory of a process: its own, and pages of files. */
export interface Resident {
  ownBytes: number
  fileBytes: number
}

/** From proc_pid_status(5); of other systems the whole is taken as its own. */
function resident(): Resident {
  if (process.platform !== 'linux') return { ownBytes: process.memoryUsage.rss(), fileBytes: 0 }
  const status = readSelf('status')
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024
  return { ownBytes: bytes('RssAnon'), fileBytes: bytes('RssFile') }
}

/** How long after a start its garbage is collected: who waits for the proxy, with others that start on its cores, does not wait for that as well. */
const settledMs = 1_000

/**
 * Collects the start's garbage and trims memory when the start is over for a moment, and trims whenever the process has grown since; what
 * only reads configuration goes when none has come for a while: memory is in pages, so all the garbage around it has to go as well.
 */
export function keepMemoryTrimmed(look = resident, release = trimMemory, everyMs = 2_500): { close(): void } {
  let after: Resident
  const again = (): void => {
    if (forgetDescriptors(unusedMs) && look().ownBytes < smallBytes) collectGarbage(true)
    const { ownBytes, fileBytes } = look()
    if (ownBytes < after.ownBytes + grownBytes && fileBytes < after.fileBytes + grownFileBytes) return
    release()
    after = look()
  }
  let timer = setTimeout(() => {
    collectGarbage(true)
    release()
    after = look()
    timer = setInterval(again, everyMs).unref()
  }, settledMs).unref()
  return { close: () => clearTimeout(timer) }
}
