/**
 * The path with parameters of its query set (all of the name replaced by one) and removed; then they stand in the order of
 * their names, as Envoy writes them.
 */
export function editQuery(path: string, set: readonly { key: string; value: string }[], remove: readonly string[]): string {
  if (set.length + remove.length === 0) return path
  const at = path.indexOf('?')
  const gone = new Set([...remove, ...set.map(({ key }) => key)])
  const kept = (at < 0 ? [] : path.slice(at + 1).split('&')).filter((pair) => pair !== '' && !gone.has(pair.split('=')[0] ?? ''))
  const nameOf = (pair: string) => pair.split('=')[0] ?? ''
  const query = [...kept, ...set.map(({ key, value }) => `${key}=${value}`)]
    .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0))
    .join('&')
  const bare = at < 0 ? path : path.slice(0, at)
  return query === '' ? bare : `${bare}?${query}`
}
