import { type AdminEndpoint, text } from './endpoint.ts'

/** `/ready`: 200 when the proxy is live, 503 with its state when not. */
export const ready: AdminEndpoint = {
  path: '/ready',
  help: 'print server state, return 200 if LIVE, otherwise return 503',
  handle: ({ control }) => {
    const state = control.healthCheckFailed ? 'DRAINING' : control.state
    return text(`${state}\n`, state === 'LIVE' ? 200 : 503)
  },
}
