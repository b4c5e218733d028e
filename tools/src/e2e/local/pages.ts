import { expect } from '../scenario.ts'
import { type Answer, get, send } from '../traffic.ts'

/** What is wrong with a product page that should be whole; undefined when nothing is. */
export function pageProblem({ status, body }: Answer): string | undefined {
  if (status !== 200) return `status ${status}: ${body.slice(0, 120)}`
  const missing = ['Error fetching product reviews', 'Error fetching product details', 'currently unavailable'].find((text) =>
    body.includes(text),
  )
  if (missing !== undefined) return `the page says '${missing}'`
  return body.includes('Book Reviews') && body.includes('ISBN-13') ? undefined : 'the page is not whole'
}

/** The version of reviews that a page shows: by its stars. */
export function reviewsVersion(page: string): 'v1' | 'v2' | 'v3' {
  if (!page.includes('class="stars"')) return 'v1'
  return page.includes('style="color:red"') ? 'v3' : 'v2'
}

/** Signs in and gives the cookie. */
export async function signIn(origin: string, user: string): Promise<string> {
  const form = new URLSearchParams({ username: user, passwd: 'x' }).toString()
  const answer = await send('POST', `${origin}/login`, { 'content-type': 'application/x-www-form-urlencoded' }, form)
  const cookie = answer.headers['set-cookie']?.[0]?.split(';')[0]
  expect(answer.status === 302 && cookie !== undefined, `login answered ${answer.status} without a session cookie`)
  return cookie
}

export async function page(origin: string, cookie?: string): Promise<Answer> {
  return get(`${origin}/productpage`, cookie === undefined ? {} : { cookie })
}

/** Versions of reviews that `count` pages show. */
export async function versionsSeen(origin: string, count: number, cookie?: string): Promise<Set<string>> {
  const seen = new Set<string>()
  for (let number = 0; number < count; number++) seen.add(reviewsVersion((await page(origin, cookie)).body))
  return seen
}
