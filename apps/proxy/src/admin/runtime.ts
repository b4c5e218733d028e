import { WeftError } from '@weft/service/errors'
import { type AdminEndpoint, json, text } from './endpoint.ts'

const usage = `usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN
       or send the parameters as form values
use an empty value to remove a previously added override`

/** `/runtime`: every key with what each layer says of it. */
export const runtime: AdminEndpoint = {
  path: '/runtime',
  help: 'print runtime values',
  handle: ({ control }) => {
    const { layers } = control.runtime
    const keys = [...new Set(layers.flatMap((layer) => [...layer.entries.keys()]))].sort()
    const entries = keys.map((key) => {
      const values = layers.map((layer) => layer.entries.get(key)?.text ?? '')
      return [key, { final_value: values.findLast((value) => value !== '') ?? '', layer_values: values }] as const
    })
    return json({ entries: Object.fromEntries(entries), layers: layers.map((layer) => layer.name) })
  },
}

/** `/runtime_modify`: sets and removes values of the admin layer. */
export const runtimeModify: AdminEndpoint = {
  path: '/runtime_modify',
  post: true,
  help: 'Adds or modifies runtime values as passed in query parameters; an empty value removes an override',
  handle: ({ control }, { query, body }) => {
    const changes = Object.fromEntries([...query, ...new URLSearchParams(body)])
    if (Object.keys(changes).length === 0) return text(usage, 400)
    try {
      control.runtime.modify(changes)
    } catch (error) {
      return text(WeftError.from(error).message, 503)
    }
    return text('OK\n')
  },
}
