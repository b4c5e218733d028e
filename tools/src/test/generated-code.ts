import { isGenerated } from '../generate/inputs.ts'

/** Before any test: without generated code, or with that of other inputs, tests would fail of things that say nothing of it. */
export default async function setup(): Promise<void> {
  if (!(await isGenerated()))
    throw new Error(
      'libs/contracts/gen is absent, or made of other files than proto/ and tools/src/generate now have: npm run generate',
    )
}
