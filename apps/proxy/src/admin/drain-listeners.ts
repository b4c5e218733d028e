import { type AdminEndpoint, text } from './endpoint.ts'

/** `/drain_listeners`: stops accepting; with `graceful` connections are first asked to end for the drain time. */
export const drainListeners: AdminEndpoint = {
  path: '/drain_listeners',
  post: true,
  help: 'drain listeners',
  parameters: [
    ['graceful', 'Let connections drain for the drain time before listeners close'],
    ['skip_exit', 'Drain the connections but never stop the listeners; with graceful'],
    ['inboundonly', 'Drain inbound listeners only (traffic_direction)'],
  ],
  handle: ({ control }, { query }) => {
    const graceful = query.has('graceful')
    if (query.has('skip_exit') && !graceful) return text('skip_exit requires graceful\n', 400)
    control.drainListeners({ graceful, skipExit: query.has('skip_exit'), inboundOnly: query.has('inboundonly') })
    return text('OK\n')
  },
}
