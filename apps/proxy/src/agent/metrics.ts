import { WeftError } from '@weft/service/errors'
import { z } from 'zod'

const targetSchema = z.looseObject({ port: z.string().default(''), path: z.string().default('') })
const configurationSchema = z.looseObject({
  scrape: z.string().default(''),
  ...targetSchema.shape,
  targets: z.array(targetSchema).default([]),
})

/** Largest metrics of one application that are passed on. */
const mostBytes = 10 << 20
const timeoutMs = 10_000

/**
 * Where the application's own metrics are, by ISTIO_PROMETHEUS_ANNOTATIONS: URLs, none when they are not to be scraped. Throws
 * `invalid_argument` for what can't be read.
 */
export function applicationMetrics(json: string): string[] {
  if (json === '') return []
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    value = undefined
  }
  const read = configurationSchema.safeParse(value)
  if (!read.success) throw new WeftError('invalid_argument', 'ISTIO_PROMETHEUS_ANNOTATIONS cannot be read')
  const { scrape, targets, ...single } = read.data
  if (scrape === 'false') return []
  return (targets.length > 0 ? targets : [single]).map(({ port, path }) => {
    const number = Number(port || '80')
    if (!Number.isInteger(number) || number < 1 || number > 65_535) {
      throw new WeftError('invalid_argument', `ISTIO_PROMETHEUS_ANNOTATIONS: ${port} is no port`)
    }
    return `http://localhost:${number}${path.startsWith('/') ? '' : '/'}${path || 'metrics'}`
  })
}

/** The metrics of all URLs in one text, the proxy's first; one that can't be had is left out. */
export async function mergedMetrics(urls: readonly string[], accept: string | undefined): Promise<string> {
  const texts = await Promise.all(urls.map((url) => fetchText(url, accept).catch(() => '')))
  return texts.map((text) => text.replace(/\s*# EOF\s*$/, '\n')).join('')
}

async function fetchText(url: string, accept = 'text/plain;version=0.0.4'): Promise<string> {
  const response = await fetch(url, { headers: { accept }, signal: AbortSignal.timeout(timeoutMs), redirect: 'error' })
  if (!response.ok || response.body === null) {
    await response.body?.cancel()
    return ''
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body) {
    bytes += chunk.byteLength
    if (bytes > mostBytes) return ''
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString()
  return text === '' || text.endsWith('\n') ? text : `${text}\n`
}
