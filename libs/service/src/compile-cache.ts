import { constants, enableCompileCache } from 'node:module'
import { join } from 'node:path'

/**
 * Turns on Node's compile cache: with it, types are stripped and modules compiled once an installation instead of once a start. It
 * works for what is loaded after it, so a `main.ts` imports this alone and the rest by `await import()`; a thread has one of its own to turn
 * on. What is kept stands in the installation (a bundle's, or the repository's), and so goes when that does: nothing removes it from the
 * system's temporary folder, where it stands if the installation can't be written to. `NODE_COMPILE_CACHE` names
 * another folder; `NODE_DISABLE_COMPILE_CACHE=1` turns it off.
 */
const { status } = enableCompileCache(join(import.meta.dirname, '../../../node_modules/.cache/weft/compile'))
if (status === constants.compileCacheStatus.FAILED) enableCompileCache()
