import { istioDescriptors } from '@weft/contracts/istio-descriptors'
import { WeftError } from '@weft/service/errors'
import { type CustomResourceKind, customResourceKinds } from './kinds.ts'
import { anything, messageSchema, type Schema } from './schema.ts'

/** A `apiextensions.k8s.io/v1 CustomResourceDefinition`, to be written as YAML or JSON. */
export interface CustomResourceDefinition {
  apiVersion: 'apiextensions.k8s.io/v1'
  kind: 'CustomResourceDefinition'
  metadata: { name: string; labels: Record<string, string> }
  spec: Record<string, unknown>
}

/**
 * The definitions of all kinds that Weft reads from Kubernetes, with schemas made from the descriptors that it validates by:
 * what the API server lets in has the right fields and types; the rest of the rules are told in the object's status.
 */
export function customResourceDefinitions(): CustomResourceDefinition[] {
  return customResourceKinds.map(definitionOf)
}

function definitionOf(resource: CustomResourceKind): CustomResourceDefinition {
  const { kind, group, plural, shortNames, versions, scope, columns } = resource
  const schema = {
    openAPIV3Schema: {
      type: 'object',
      properties: { spec: specSchema(resource), status: anything },
      // Of Mixer's kinds some have parts beside the spec.
      ...(resource.message === undefined ? { 'x-kubernetes-preserve-unknown-fields': true } : {}),
    },
  }
  const additionalPrinterColumns = [
    ...columns.map(({ name, path, type }) => ({ name, type, jsonPath: path })),
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ]
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, labels: { app: 'weft' } },
    spec: {
      group,
      scope,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        categories: ['istio-io', group.replaceAll('.', '-')],
        ...(shortNames.length === 0 ? {} : { shortNames }),
      },
      versions: versions.map((name, index) => ({
        name,
        served: true,
        storage: index === 0,
        schema,
        additionalPrinterColumns,
        subresources: { status: {} },
      })),
    },
  }
}

function specSchema({ message: typeName, kind }: CustomResourceKind): Schema {
  if (typeName === undefined) return anything
  const message = istioDescriptors().getMessage(typeName)
  if (message === undefined) throw new WeftError('internal', `the contracts have no message ${typeName} for ${kind}`)
  return messageSchema(message)
}
