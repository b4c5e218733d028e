import type { Platform } from '@weft/pilot/registries/conformance/platform'
import { apiStore, kubernetesPlatform } from '@weft/pilot/registries/kubernetes/platform'
import { installRights } from '../../kubernetes/installed.ts'
import { KubernetesServer } from '../../kubernetes/server.ts'

/** A real kube-apiserver as a platform of the conformance suite; the registry has the rights that a Pilot is given, no more. */
export async function kubernetesOfServer(bin: string): Promise<Platform> {
  const server = await KubernetesServer.start({ bin })
  await installRights(server)
  let token = await server.tokenOf('istio-system', 'pilot')
  const kubeconfig = await server.writeKubeconfig('pilot', token)
  return kubernetesPlatform({
    name: 'kubernetes',
    kubeconfig,
    url: server.url,
    host: server.host,
    port: server.port,
    store: apiStore(server.client),
    restart: () => server.restart(),
    // After a restart every version from before is too old.
    forget: () => server.restart(),
    credentials: {
      access: server.access(() => token),
      async expire() {
        token = 'expired'
        // A watch that stands is not asked for its token again.
        await server.restart()
      },
      async renew() {
        token = await server.tokenOf('istio-system', 'pilot')
      },
    },
    close: () => server.stop(),
  })
}
