import { type AdminEndpoint, text } from './endpoint.ts'

/** `/drain_listeners`: stops accepting; with `graceful` connections are first asked to end for the drain time. */
export const drainListeners: AdminEndpoint = {
  path: '/drain_listeners',
  post: true,
  help: 'drain listeners',
  parameters: [
    ['graceful', 'Let connections drain for the drain time before listeners close'],
    ['skip_exit', 'Drain the connections but never stop the listeners'],
    ['inboundonly', 'Drain inbound listeners only (traffic_direction)'],
  ],
  handle: ({ control }, { query }) => {
    // What never closes listeners only asks connections to end.
    const skipExit = query.has('skip_exit')
    control.drainListeners({ graceful: skipExit || query.has('graceful'), skipExit, inboundOnly: query.has('inboundonly') })
    return text('OK\n')
  },
}
