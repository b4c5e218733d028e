import { enableCompileCache } from 'node:module'

/**
 * Turns on Node's compile cache: with it, types are stripped and modules compiled once a machine instead of once a start. It
 * works for what is loaded after it, so a `main.ts` imports this alone and the rest by `await import()`. `NODE_COMPILE_CACHE` names
 * another folder than the system's temporary one; `NODE_DISABLE_COMPILE_CACHE=1` turns it off.
 */
enableCompileCache()
