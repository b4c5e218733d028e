import { type AdminEndpoint, text } from './endpoint.ts'

/** `/reopen_logs`: opens the log and the access logs anew, after they were moved away. */
export const reopenLogs: AdminEndpoint = {
  path: '/reopen_logs',
  post: true,
  help: 'reopen access logs',
  handle: ({ control }) => {
    control.reopenLogs()
    return text('OK\n')
  },
}
