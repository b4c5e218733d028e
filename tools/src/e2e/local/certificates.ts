import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MeshUnderTest } from '../mesh-under-test.ts'
import { gatewayCredentials, gatewayNamespace, writeCredential } from '../on-platform/gateway-credentials.ts'
import type { Scenario } from '../scenario.ts'

const port = 8443

/** HTTPS at the gateway, with certificates in the folder `credentials` of the mesh's state. */
export async function gatewayCertificates(scenario: Scenario, mesh: MeshUnderTest): Promise<void> {
  const place = join(mesh.stateFolder, 'credentials', gatewayNamespace, 'istio-ingressgateway-service-account')
  const tlsPort = mesh.state().gatewayPorts[port]
  if (tlsPort === undefined) throw new Error(`mesh.json has no place for the port ${port}`)
  await gatewayCredentials(scenario, {
    keep: (name, files) => writeCredential(place, name, files),
    configure: async (yaml) => {
      const file = join(mesh.stateFolder, 'secure.yaml')
      await writeFile(file, yaml)
      await mesh.apply(file)
    },
    ...{ port: tlsPort, gatewayPort: port, folder: join(mesh.stateFolder, 'certificates') },
  })
}
