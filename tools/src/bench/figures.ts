/** The table of docs/performance.md, made of the JSON lines that benchmarks print: `npm run bench -- figures < what-they-printed`. */
import { text } from 'node:stream/consumers'
import { z } from 'zod'

/** Its lines: of which benchmark, what it says, and beside whom if not nginx and Envoy. */
const lines: readonly { bench: string; says: string; other?: string; envoy?: string }[] = [
  { bench: 'http1', says: '`http1`: 64 connections' },
  { bench: 'http1-512', says: '`http1-512`' },
  { bench: 'http1-latency', says: '`http1-latency`: 1 connection' },
  { bench: 'tls', says: '`tls`: HTTP/1.1 over TLS 1.3' },
  { bench: 'handshakes', says: '`handshakes`: full, certificates on both sides' },
  { bench: 'h2-h1', says: '`h2`: to HTTP/1.1 servers' },
  { bench: 'h2-h2', says: '`h2`: to HTTP/2 servers' },
  { bench: 'grpc-unary', says: '`grpc`: unary' },
  { bench: 'grpc-streaming', says: '`grpc`: streaming, a message' },
  { bench: 'mesh', says: '`mesh`: a pair of sidecars (HTTP/2 between ours)' },
  { bench: 'mesh', says: '`mesh`: beside a pair of Envoys with HTTP/2 as well', envoy: 'envoy-h2' },
  { bench: 'tcp', says: '`tcp`: a MiB', other: 'haproxy' },
  { bench: 'http1-bodies', says: '`http1-bodies`: 1 MiB' },
]

const runOfPeers = z.object({
  bench: z.string(),
  results: z.array(z.object({ name: z.string(), cpuMicros: z.number() })),
})
type Run = z.infer<typeof runOfPeers>

/** Reads what benchmarks printed from standard input and prints the table. */
export async function printFigures(): Promise<void> {
  console.log(figuresOf(await text(process.stdin)))
}

/** The table's lines, in Markdown; of several runs of a benchmark each figure's least and most. Whatever is no such run is passed over. */
export function figuresOf(printed: string): string {
  const runs = printed.split('\n').flatMap((line): Run[] => {
    if (!line.startsWith('{')) return []
    const { data } = runOfPeers.safeParse(JSON.parse(line))
    return data === undefined ? [] : [data]
  })
  const rows = lines.flatMap(({ bench, says, other = 'nginx', envoy = 'envoy' }) => {
    const mine = runs.filter((run) => run.bench === bench)
    if (mine.length === 0) return []
    const label = mine.length === 1 ? says : `${says}, ${mine.length} runs`
    const micros = range(mine.map((run) => costOf(run, 'weft')))
    const besideOther = range(
      mine.map((run) => costOf(run, 'weft') / costOf(run, other)),
      2,
    )
    const besideEnvoy = range(
      mine.map((run) => costOf(run, 'weft') / costOf(run, envoy)),
      2,
    )
    return [
      [label, `${micros} µs`, other === 'nginx' || besideOther === '' ? besideOther : `${besideOther} × ${other}`, besideEnvoy],
    ]
  })
  return [['benchmark', 'ours', '× nginx', '× Envoy'], ['---', '---', '---', '---'], ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

/** NaN where it was not in the run. */
const costOf = ({ results }: Run, name: string): number => results.find((result) => result.name === name)?.cpuMicros ?? Number.NaN

/** `1.11 to 1.28`; one figure where they are alike, nothing where there are none. Digits: one, none from a hundred, or as told. */
function range(values: readonly number[], digits?: number): string {
  const known = values.filter((value) => !Number.isNaN(value))
  if (known.length === 0) return ''
  const show = (value: number) =>
    digits === undefined && value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(digits ?? 1)
  const [least, most] = [show(Math.min(...known)), show(Math.max(...known))]
  return least === most ? least : `${least} to ${most}`
}
