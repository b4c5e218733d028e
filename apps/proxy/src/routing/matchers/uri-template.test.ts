import { expect, test } from 'vitest'
import { compileUriTemplate } from './uri-template.ts'

test.each([
  ['/a/*', '/a/x', true],
  ['/a/*', "/a/x=y*z%20'()", true],
  ['/a/*', '/a/', false],
  ['/a/*', '/a', false],
  ['/a/*', '/a/x/y', false],
  ['/a/*', '/a/x/', false],
  ['/a/*', '/a/x|y', false],
  ['/A/*', '/a/x', false],
  ['/b/**', '/b/', true],
  ['/b/**', '/b/x/y/z', true],
  ['/b/**', '/b', false],
  ['/c/*/d', '/c/x/d', true],
  ['/c/*/d', '/c//d', false],
  ['/e/{id}/f', '/e/1/f', true],
  ['/e/{id=*}/{rest=**}', '/e/1/f/g', true],
  ['/h/**.mp4', '/h/a/b.mp4', true],
  ['/h/**.mp4', '/h/x.mp3', false],
  ['/i/*/**', '/i/x', false],
  ['/i/*/**', '/i/x/', true],
  ['/j/*-*', '/j/a-b', true],
  ['/k.x/*', '/kyx/a', false],
  ['/l/{middle=*/videos/*}/end', '/l/a/videos/b/end', true],
  ['/l/{middle=*/videos/*}/end', '/l/a/films/b/end', false],
  ['/m/{code===na/*}', '/m/==na/x', true],
])('the template %s and the path %s, as Envoy has it: %s', (template, path, matches) => {
  expect(compileUriTemplate(template, 'test')(path)).toBe(matches)
})

test.each([
  'x/*',
  '/x//y',
  '/x/**/y/*',
  '/x/**/y/**',
  '/x/{a}{b}',
  '/x/{a=*.b}',
  '/x/{a}/{a}',
  '/x/"',
  '/x/{*}',
  '/x/{a',
  '/x/**{y}',
  '/{a}/{b}/{c}/{d}/{e}/{f}',
])('the template %s is refused, as Envoy does', (template) => {
  expect(() => compileUriTemplate(template, 'test')).toThrow(/template/)
})
