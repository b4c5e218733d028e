import '@weft/service/compile-cache'

// Behind a dynamic import, so that the compile cache is on before anything else is compiled.
const { main } = await import('./service.ts')
await main()
