import { registryConformance } from '@weft/pilot/registries/conformance/in-vitest'
import { describe } from 'vitest'
import { nomadPlatform } from './nomad-platform.ts'

describe('the Nomad registry', () => registryConformance(nomadPlatform))
