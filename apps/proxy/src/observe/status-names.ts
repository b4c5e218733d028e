/** What a response's status is counted under, as Envoy names it: `completed`, `2xx`, `200`; beyond 599 it is `unknown`. */
export function statusNames(status: number): string[] {
  if (status < 100 || status > 599) return ['completed', 'unknown']
  return ['completed', `${Math.floor(status / 100)}xx`, String(status)]
}
