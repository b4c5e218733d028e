/**
 * The path with parameters of its query set (all of the name replaced by one) and then removed; those that stay stand in the order
 * of their names, each with its `=`, as Envoy writes them.
 */
export function editQuery(path: string, set: readonly { key: string; value: string }[], remove: readonly string[]): string {
  if (set.length + remove.length === 0) return path
  const at = path.indexOf('?')
  let parameters = at < 0 ? [] : parse(path.slice(at + 1))
  for (const { key, value } of set) {
    const name = bytes(key)
    parameters = [...parameters.filter((one) => one.name !== name), { name, value: bytes(value) }]
  }
  const gone = new Set(remove.map(bytes))
  const query = parameters
    .filter(({ name }) => !gone.has(name))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    .map(({ name, value }) => `${name}=${value}`)
    .join('&')
  const bare = at < 0 ? path : path.slice(0, at)
  return query === '' ? bare : `${bare}?${query}`
}

/** Whether a name or value of a query needs no escape (`application/x-www-form-urlencoded`): an escape itself does. */
export function isPlainParameter(text: string): boolean {
  return /^[a-z0-9*\-._]*$/i.test(text)
}

function parse(query: string): { name: string; value: string }[] {
  const pairs = query.split('&')
  if (pairs.at(-1) === '') pairs.pop()
  return pairs.map((pair) => {
    const at = pair.indexOf('=')
    return at < 0 ? { name: pair, value: '' } : { name: pair.slice(0, at), value: pair.slice(at + 1) }
  })
}

/** Paths are latin1 strings of their bytes. */
function bytes(text: string): string {
  return Buffer.from(text).toString('latin1')
}
