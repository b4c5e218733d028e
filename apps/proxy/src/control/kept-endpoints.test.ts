import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { describe, expect, it } from 'vitest'
import { cell, EndpointSlab, healthFlag } from '../upstream/endpoint-slab.ts'
import { EndpointSlots, endpointKey } from './endpoint-slots.ts'
import { withKeptEndpoints } from './kept-endpoints.ts'
import { assignment, resource } from './testing/resources.ts'

const load = (...ports: number[]) => ClusterLoadAssignment.decode(resource('endpoints', assignment('a', ...ports)).bytes)
const keys = ({ endpoints }: ClusterLoadAssignment) => endpoints.flatMap(({ lbEndpoints }) => lbEndpoints.map(endpointKey))

describe('endpoints that discovery dropped', () => {
  it('stay, flagged, while their health checks pass, and go when they fail', () => {
    const slab = new EndpointSlab(16)
    const slots = new EndpointSlots(slab)
    const before = load(1, 2)
    slots.assign(before, 'unchecked')
    const slot = slots.keys.get('127.0.0.1:2') ?? 0
    const kept = withKeptEndpoints(load(1), before, slots.keys, slab)
    expect(keys(kept)).toEqual(['127.0.0.1:1', '127.0.0.1:2'])
    expect(slab.get(slot, cell.health)).toBe(healthFlag.pendingDynamicRemoval)
    expect(keys(withKeptEndpoints(load(2, 1), kept, slots.keys, slab))).toEqual(['127.0.0.1:2', '127.0.0.1:1'])
    expect(slab.get(slot, cell.health)).toBe(0)
    slab.setHealth(slot, healthFlag.failedActiveCheck, true)
    expect(keys(withKeptEndpoints(load(1), kept, slots.keys, slab))).toEqual(['127.0.0.1:1'])
  })
})
