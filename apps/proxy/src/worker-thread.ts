// Before anything of size is loaded.
import '@weft/service/compile-cache'

await import('./worker.ts')
