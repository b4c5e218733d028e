/** `node tools/src/generate/crds.ts`: prints the CustomResourceDefinitions of all kinds that Weft reads from Kubernetes, as YAML. */
import { customResourceDefinitions } from '@weft/config/custom-resources/definitions'
import { stringify } from 'yaml'

const definitions = customResourceDefinitions()
process.stdout.write(definitions.map((definition) => stringify(definition, { aliasDuplicateObjects: false })).join('---\n'))
