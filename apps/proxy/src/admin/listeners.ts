import type { Address } from '@weft/contracts/envoy/config/core/v3/address'
import type { Control } from '../control/control.ts'
import { addressJson } from './clusters.ts'
import { type AdminEndpoint, json, text } from './endpoint.ts'

/** `/listeners`: the listeners that are open, and where. */
export const listeners: AdminEndpoint = {
  path: '/listeners',
  help: 'print listener info',
  parameters: [['format', 'File format to use; One of (text, json)']],
  handle: ({ control }, { query }) => {
    const listed = control.listeners
      .active()
      .map(({ name, message }) => ({ name, addresses: addressesOf(control, name, message.address) }))
    if (query.get('format') === 'json')
      return json({
        listener_statuses: listed.map(({ name, addresses }) => ({ name, local_address: addressJson(addresses[0] ?? '') })),
      })
    return text(listed.flatMap(({ name, addresses }) => addresses.map((address) => `${name}::${address}\n`)).join(''))
  },
}

/** Where a listener listens: as a worker said (a port 0 became one), else as it is configured. */
function addressesOf(control: Control, name: string, address: Address | undefined): string[] {
  const told = control.workers.listening.get(name)
  if (told !== undefined && told.length > 0) return told
  if (address?.address?.$case === 'pipe') return [address.address.value.path]
  const socket = address?.address?.$case === 'socketAddress' ? address.address.value : undefined
  if (socket === undefined) return []
  const port = socket.portSpecifier?.$case === 'portValue' ? socket.portSpecifier.value : 0
  return [socket.address.includes(':') ? `[${socket.address}]:${port}` : `${socket.address}:${port}`]
}
