import { enableCompileCache } from 'node:module'

// A thread of its own has a compile cache of its own to switch on, before anything of size is loaded.
enableCompileCache()
await import('./worker.ts')
