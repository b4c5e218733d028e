import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MeshUnderTest } from '../mesh-under-test.ts'
import { expect, type Scenario } from '../scenario.ts'
import { get } from '../traffic.ts'
import { untilStatus } from './policy.ts'

/** Seven lines are an adapter: written while the mesh runs, loaded by Mixer, and deciding. */
const adapterFile = `import { adapter, deny } from '@weft/mixer/adapter'
import { z } from 'zod'
export default adapter({
  name: 'no-even-books',
  config: z.object({ because: z.string() }),
  templates: { listentry: ({ config }) => ({ value }) => (Number(value.split('/').pop()) % 2 === 0 ? deny(config.because) : undefined) },
})
`

const useIt = `apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: odd-only }
spec: { compiledAdapter: no-even-books, params: { because: this book has an even number } }
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: book }
spec: { compiledTemplate: listentry, params: { value: request.path } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: odd-books }
spec:
  match: destination.labels["app"] == "details"
  actions: [{ handler: odd-only, instances: [book] }]
`

export async function adapterChecks(scenario: Scenario, mesh: MeshUnderTest, adapterFolder: string): Promise<void> {
  scenario.section("a user's adapter")
  const file = join(mesh.stateFolder, 'adapter.yaml')
  const details = `http://${mesh.outbound('productpage-v1', 'details')}:9080/details`
  await scenario.attempt('of 7 lines is loaded while Mixer runs, and decides', async () => {
    expect(adapterFile.trimEnd().split('\n').length === 7, 'it is not of 7 lines')
    await writeFile(join(adapterFolder, 'no-even-books.ts'), adapterFile)
    await writeFile(file, useIt)
    await mesh.apply(file)
    const even = await untilStatus(`${details}/2`, 403)
    const odd = await get(`${details}/3`)
    expect(odd.status === 200, `an odd book is answered ${odd.status}: ${odd.body}`)
    return even.body
  })
  await scenario.attempt('a change of its file takes effect without a restart', async () => {
    await writeFile(join(adapterFolder, 'no-even-books.ts'), adapterFile.replace('% 2 === 0', '% 2 === 1'))
    // Books that were not asked for yet: an answer that lets pass may be used again for a minute.
    await untilStatus(`${details}/5`, 403)
    await untilStatus(`${details}/4`, 200)
    return undefined
  })
  await mesh.weft('delete', '-f', file)
}
