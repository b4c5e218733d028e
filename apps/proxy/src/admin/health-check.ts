import { type AdminContext, type AdminEndpoint, text } from './endpoint.ts'

/** `/healthcheck/fail`: the proxy says that it is not ready, so that load balancers turn away, and closes connections. */
export const healthCheckFail: AdminEndpoint = {
  path: '/healthcheck/fail',
  post: true,
  help: 'cause the server to fail health checks',
  handle: (context) => set(context, true),
}

/** `/healthcheck/ok`: takes it back. */
export const healthCheckOk: AdminEndpoint = {
  path: '/healthcheck/ok',
  post: true,
  help: 'cause the server to pass health checks',
  handle: (context) => set(context, false),
}

function set({ control }: AdminContext, failed: boolean) {
  control.failHealthChecks(failed)
  return text('OK\n')
}
