import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Stands in the environment of a process that has been started this way. */
const arenas = 'MALLOC_ARENA_MAX'

/**
 * The environment by which Node holds less memory; the C library and V8 read it once, when a process begins. One arena for all
 * threads: what V8's compilers free in one thread serves the others, where an arena each keeps it. And a bound on young objects, of
 * which each thread else keeps room for 32 MiB. What `environment` already says of either is left as it is.
 */
export function leanMemory(environment: Readonly<Record<string, string | undefined>>): {
  [arenas]: string
  NODE_OPTIONS: string
} {
  const { NODE_OPTIONS: options = '' } = environment
  const bounded = options.includes('semi-space-size') ? options : `${options} --max-semi-space-size=2`.trim()
  return { [arenas]: environment[arenas] ?? '1', NODE_OPTIONS: bounded }
}

/** Garbage is collected by the thread that made it. V8's helpers take the core from it where there is no other: 3 ms at a time. */
const ownGarbage = '--single-threaded-gc'

/**
 * Begins this process again with the environment of `leanMemory` and without V8's helpers for garbage, unless it has been started with it:
 * the same process by id, arguments and standard streams, 45 ms later. To be called first of all, from the main thread. Does nothing where
 * processes can't be replaced (only Linux's C library has these settings), and where sources run as they are: Node's type stripper takes
 * more.
 */
export function restartLean(): void {
  const { platform, execPath, execArgv, argv, env } = process
  if (platform !== 'linux' || env[arenas] !== undefined || argv[1]?.endsWith('.ts') !== false) return
  process.execve?.(execPath, [execPath, ...execArgv, ownGarbage, ...argv.slice(1)], { ...env, ...leanMemory(env) })
}

/**
 * Lets V8 make no quick machine code (Sparkplug's), in threads that start later neither, until `serveLean`: what a start runs often enough
 * for it is not run again, and each thread would keep it. What gets hot all the same is optimised as ever.
 */
export function startLean(): void {
  setFlagsFromString('--no-sparkplug')
}

/**
 * The start is over: functions get quick machine code again. And the heaps of this process, also of threads that start later, grow by half of
 * what lives in them until garbage is collected again, where V8 takes up to four times as much: its measure is throughput, and a proxy makes
 * little that lives long.
 */
export function serveLean(): void {
  setFlagsFromString('--sparkplug')
  setFlagsFromString('--heap-growing-percent=50')
}

/**
 * Collects the garbage of this thread now: 20 ms for 25 MiB. For the end of a start, which leaves a third of the heap to be collected
 * and which little would follow to make V8 do it. `thoroughly`: as if memory ran out, until a further round finds nothing; what is left moves
 * together, code that nobody runs goes, and so does the room for young objects. That takes several times as long, so not where there is traffic.
 */
export function collectGarbage(thoroughly = false): void {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect !== 'function') return
  if (thoroughly) collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  else collect()
}
