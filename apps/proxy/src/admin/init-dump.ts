import { type AdminEndpoint, json } from './endpoint.ts'

/** `/init_dump`: what the start still waits for. */
export const initDump: AdminEndpoint = {
  path: '/init_dump',
  help: 'dump current Envoy init manager information (experimental)',
  parameters: [['mask', 'The component to dump unready targets of: listener or cluster']],
  handle: ({ control }, { query }) => {
    const mask = query.get('mask')
    const dumps = [
      ...(mask === null || mask === 'listener'
        ? control.listeners
            .warming()
            .map(({ name }) => ({ name: `listener ${name}`, target_names: ['secrets, routes or clusters'] }))
        : []),
      ...(mask === null || mask === 'cluster'
        ? control.clusters.warming().map(({ name }) => ({ name: `cluster ${name}`, target_names: ['endpoints or secrets'] }))
        : []),
    ]
    return json(dumps.length === 0 ? {} : { unready_targets_dumps: dumps })
  },
}
