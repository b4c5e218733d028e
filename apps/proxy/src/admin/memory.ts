import { type AdminEndpoint, json } from './endpoint.ts'

/** `/memory`: what the process holds; the numbers are V8's and the kernel's, under Envoy's names. */
export const memory: AdminEndpoint = {
  path: '/memory',
  help: 'print current allocation/heap usage',
  handle: () => {
    const { heapUsed, heapTotal, rss, external } = process.memoryUsage()
    return json({
      allocated: String(heapUsed + external),
      heap_size: String(heapTotal),
      pageheap_unmapped: '0',
      pageheap_free: String(heapTotal - heapUsed),
      total_thread_cache: '0',
      total_physical_bytes: String(rss),
    })
  },
}
