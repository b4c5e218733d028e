/** The path with parameters of its query set (all of the name replaced by one) and removed; others stay as they are. */
export function editQuery(path: string, set: readonly { key: string; value: string }[], remove: readonly string[]): string {
  if (set.length + remove.length === 0) return path
  const at = path.indexOf('?')
  const gone = new Set([...remove, ...set.map(({ key }) => key)])
  const kept = (at < 0 ? [] : path.slice(at + 1).split('&')).filter((pair) => pair !== '' && !gone.has(pair.split('=')[0] ?? ''))
  const query = [...kept, ...set.map(({ key, value }) => `${key}=${value}`)].join('&')
  const bare = at < 0 ? path : path.slice(0, at)
  return query === '' ? bare : `${bare}?${query}`
}
