import type { ClusterAccess } from '../access.ts'

const none = async (): Promise<undefined> => undefined

/** For tests: access to a server without any credentials. */
export function accessTo(server: string): ClusterAccess {
  return {
    server,
    namespace: 'default',
    serverName: undefined,
    skipVerify: false,
    ca: none,
    token: none,
    clientCertificate: none,
  }
}
