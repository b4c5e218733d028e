import { createLogger } from '@weft/service/logger'
import { expect, test } from 'vitest'
import { defaultMeshSettings } from '../model/mesh-settings.ts'
import { openRegistry, parseRegistry } from './open.ts'

test('a registry is a platform, where it is, and options', () => {
  const spec = parseRegistry('consul=https://consul.example:8501?dc=east&token-file=/run/token')
  expect(spec.platform).toBe('consul')
  expect(spec.url?.href).toBe('https://consul.example:8501/')
  expect(Object.fromEntries(spec.options)).toEqual({ dc: 'east', 'token-file': '/run/token' })
  expect(parseRegistry('kubernetes').url).toBeUndefined()
})

test.each(['etcd=http://x', 'consul=ftp://x', 'consul=http://user:secret@x', 'consul=not a url', ''])(
  "'%s' is refused with what to write",
  (text) => {
    expect(() => parseRegistry(text)).toThrow(expect.objectContaining({ hint: expect.any(String) }))
  },
)

test('an option that a platform does not know is refused', async () => {
  const context = { mesh: defaultMeshSettings, logger: createLogger('pilot', 'silent') }
  await expect(openRegistry(parseRegistry('consul=http://127.0.0.1:1?datacenter=east'), context)).rejects.toThrow(
    "no option 'datacenter'",
  )
  await expect(openRegistry(parseRegistry('consul=http://127.0.0.1:1?partition=a'), context)).rejects.toThrow(
    "'partition' is of Consul Enterprise",
  )
  await expect(openRegistry(parseRegistry('consul=http://127.0.0.1:1?watches=none'), context)).rejects.toThrow('watches')
})
