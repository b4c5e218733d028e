import { type AdminEndpoint, text } from './endpoint.ts'

/** `/quitquitquit`: ends the proxy as SIGTERM does. */
export const quit: AdminEndpoint = {
  path: '/quitquitquit',
  post: true,
  help: 'exit the server',
  handle: ({ quit }) => {
    setImmediate(quit)
    return text('OK\n')
  },
}
