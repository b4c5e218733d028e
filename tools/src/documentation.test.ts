import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

const markdown = ['', 'docs', 'docs/platforms'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name)),
)

const text = (file: string): string => readFileSync(join(root, file), 'utf8')

/** The anchor that a heading has on a page. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .trim()
    .replaceAll(' ', '-')
}

const anchorsOf = (file: string): string[] => [...text(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading))

describe.each(markdown)('%s', (file) => {
  it('links to what is there', () => {
    const dead = [...text(file).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#')
        const target = path === '' ? file : normalize(join(dirname(file), path))
        return !existsSync(join(root, target)) || (anchor !== undefined && !anchorsOf(target).includes(anchor))
      })
    expect(dead).toEqual([])
  })

  it('names files and folders that are there', () => {
    const named = [...text(file).matchAll(/`((?:apps|libs|tools|deploy|proto|docs)\/[\w./-]+)`/g)].map(([, path = '']) => path)
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})

/** What may stand behind `npm run SCRIPT -- `: the script lists it when it is asked for what is not there, or for help. */
function namesOf(script: string): string[] {
  const [main, word] = script === 'weft' ? ['apps/weft/src/main.ts', '--help'] : [`tools/src/${script}/main.ts`, 'no-such']
  const { stdout, stderr } = spawnSync(process.execPath, [join(root, main), word], { encoding: 'utf8' })
  if (script === 'weft') return [...stdout.matchAll(/^ {2}([a-z][\w-]*) /gm)].map(([, name = '']) => name)
  const names = /(?:there are|suites|targets): (.*)/.exec(stderr)?.[1]?.split(', ')
  if (names === undefined) throw new Error(`npm run ${script} does not tell what there is:\n${stderr}`)
  return names
}

describe('the commands of the pages', () => {
  const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> }
  const all = markdown.map(text).join('\n')
  // `npm run bench -- one`, `-- two`: the second is of the first's kind.
  const commands = [...all.matchAll(/npm run (?:-\S+ )*([\w-]+)(?: -- ([a-z][\w-]*))?((?:`, `-- [a-z][\w-]*)*)/g)]

  it('are scripts that there are', () => {
    expect(commands.length).toBeGreaterThan(30)
    expect(commands.map(([, script = '']) => script).filter((script) => !(script in scripts))).toEqual([])
  })

  it.each(['weft', 'bench', 'e2e', 'fuzz', 'cases'])('%s: name what there is', (tool) => {
    const known = namesOf(tool)
    expect(known.length).toBeGreaterThan(3)
    const named = commands
      .filter(([, script]) => script === tool)
      .flatMap(([, , first, more = '']) => [first, ...[...more.matchAll(/-- ([\w-]+)/g)].map(([, name]) => name)])
      .filter((name) => name !== undefined)
    expect(named.filter((name) => !known.includes(name))).toEqual([])
    // Its page lists them all.
    if (tool === 'bench') expect(known.filter((name) => !named.includes(name))).toEqual([])
  })
})
