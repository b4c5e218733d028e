/** What configurations and requests are made of: few words, so that they meet. */
export const hosts = [
  'a.test',
  'b.test',
  'x.b.test',
  'c.test',
  'c.test:8080',
  'A.Test',
  'b.test:80',
  'other.example',
  'b.test.',
] as const

export const paths = [
  '/',
  '/a',
  '/a/',
  '/a/b',
  '/A/b',
  '/a/b/c.txt',
  '/ab',
  '/b/1/c',
  '/b/22/c/d',
  '/b//c',
  '/b/./c',
  '/a/../b/1/c',
  '/a%2Fb',
  '/a%2fb/c',
  '/a%5cb',
  '/a\\b',
  '/a;p=1/b',
  '/a/b;v=2',
  '/%61/b',
  '/svc.Api/Call',
  '/a%20b',
  '/a/b#f',
  '/a|b',
] as const

export const prefixes = ['/', '/a', '/a/', '/b', '/b/', '/A', '/svc.Api', '/a/b'] as const
export const queries = [
  '',
  '',
  '',
  '?q=1',
  '?q=2&r=x',
  '?r=',
  '?q',
  '?q=1&q=2',
  '?r=%20x&q=a+b',
  '?',
  '?r=x#f',
  '?=1&q=10',
] as const
export const names = ['x-a', 'x-b', 'x-c'] as const
export const values = ['1', '2', '10', 'one', 'One', 'one two', '', 'a,b', '-5', 'x1y', 'caf\u00e9'] as const
export const patterns = ['.*', '[0-9]+', 'o.e', 'one|two', '(a),?(b)?', '^1$', '[^/]*'] as const
export const metadataKeys = ['k', 'm', 'deep'] as const
