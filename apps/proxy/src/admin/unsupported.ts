import { type AdminEndpoint, text } from './endpoint.ts'

const profiling = 'This proxy runs on Node.js: start it with node --cpu-prof or --heap-prof, or attach an inspector.\n'

/** Envoy's profiling paths: refused, with what to do instead. */
export const profilers: readonly AdminEndpoint[] = ['cpuprofiler', 'heapprofiler', 'allocprofiler'].map((name) => ({
  path: `/${name}`,
  post: true,
  help: `enable/disable the ${name.replace('profiler', '')} profiler (not here: see the answer)`,
  handle: (_, { query }) =>
    name !== 'heapprofiler' && !['y', 'n'].includes(query.get('enable') ?? '')
      ? text('?enable=<y|n>\n', 400)
      : text(profiling, 501),
}))

/** `/contention`: there are no mutexes to watch. */
export const contention: AdminEndpoint = {
  path: '/contention',
  help: 'dump current Envoy mutex contention stats (not here: threads share memory by atomics only)',
  handle: () => text('Mutex contention tracing is not enabled: this proxy has no mutexes.\n'),
}

/** `/hot_restart_version`. */
export const hotRestartVersion: AdminEndpoint = {
  path: '/hot_restart_version',
  help: 'print the hot restart compatibility version',
  handle: () => text('disabled'),
}
