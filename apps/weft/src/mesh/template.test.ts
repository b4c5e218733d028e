import { describe, expect, it } from 'vitest'
import { fillTemplate } from './template.ts'

const values = {
  'workload.address': '127.20.2.2',
  'service.address': (name: string) => (name === 'reviews' ? '127.20.2.19' : undefined),
}
const where = { file: 'mesh/w.yaml', line: 3, path: 'spec.env.HOST' }

describe('a template', () => {
  it('is filled, several times in a text, and keeps everything else', () => {
    const text = 'http://${service.address:reviews}:9080 ${workload.address} $HOME ${{'
    expect(fillTemplate(text, values, where)).toBe('http://127.20.2.19:9080 127.20.2.2 $HOME ${{')
  })

  it('has $${ for a plain ${', () => {
    expect(fillTemplate('$${workload.address}', values, where)).toBe('${workload.address}')
  })

  it.each(['${service.address:nobody}', '${workload.addres}', '${workload.address:x}', '${toString}'])(
    'refuses %s, with its place and what is known',
    (text) => {
      expect(() => fillTemplate(text, values, where)).toThrowError(
        expect.objectContaining({
          message: `${text} has no value`,
          where,
          hint: expect.stringContaining('${service.address:…}'),
        }),
      )
    },
  )
})
