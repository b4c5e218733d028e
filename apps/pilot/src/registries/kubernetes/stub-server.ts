import { resourcePath } from '@weft/kubernetes/resource'
import { accessTo } from '@weft/kubernetes/testing/access-to'
import { StubApiServer } from '@weft/kubernetes/testing/stub-api-server'
import { type ApiServer, withoutNulls } from './platform.ts'

/** For tests without a real API server: the stand-in, in the conformance suite's words. */
export async function stubApiServer(): Promise<ApiServer> {
  const server = await StubApiServer.start()
  const { hostname, port } = new URL(server.url)
  return {
    name: 'kubernetes (stand-in)',
    url: server.url,
    store: {
      async write({ type, namespace, name, object, status }) {
        const metadata = { ...(object['metadata'] as object), name, ...(namespace === undefined ? {} : { namespace }) }
        server.put(resourcePath(type), {
          ...withoutNulls({ ...object, status }),
          metadata: withoutNulls(metadata) as { name: string },
        })
      },
      async remove({ type, namespace, name }) {
        server.remove(resourcePath(type), namespace, name)
      },
    },
    host: hostname,
    port: Number(port),
    async restart() {
      await server.stop()
      await server.start()
    },
    async forget() {
      server.compact()
    },
    credentials: {
      access: { ...accessTo(server.url), token: async () => 'registry' },
      async expire() {
        server.refuse = ({ authorization }) => (authorization === 'Bearer registry' ? 401 : undefined)
        server.cut()
      },
      async renew() {
        server.refuse = undefined
      },
    },
    close: () => server.stop(),
  }
}
