import type { FastifyInstance, FastifyRequest } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { detailsServer } from './details/server.ts'
import { productPageServer } from './productpage/server.ts'
import { ratingsServer } from './ratings/server.ts'
import { reviewsServer } from './reviews/server.ts'
import { createServer } from './service.ts'
import type { Upstream } from './upstream.ts'

async function start(name: string, server: FastifyInstance): Promise<Upstream> {
  onTestFinished(() => {
    const closing = server.close()
    server.server.closeAllConnections()
    return closing
  })
  return { name, origin: await server.listen({ host: '127.0.0.1', port: 0 }) }
}

/** A port where nothing listens. */
async function nowhere(name: string): Promise<Upstream> {
  const server = createServer()
  const upstream = { name, origin: await server.listen({ host: '127.0.0.1', port: 0 }) }
  await server.close()
  return upstream
}

/** A service that never answers, and says what it was asked. */
async function silent(name: string): Promise<Upstream & { asked: FastifyRequest[] }> {
  const asked: FastifyRequest[] = []
  const server = createServer()
  server.get('/*', (request) => {
    asked.push(request)
    return new Promise<never>(() => {})
  })
  return { ...(await start(name, server)), asked }
}

interface Setup {
  starColor?: string
  ratings?: Upstream | null
  reviews?: Upstream
  details?: Upstream
  ratingsTimeoutMs?: number
}

async function bookinfo(setup: Setup = {}): Promise<string> {
  const ratings = setup.ratings ?? (await start('ratings', ratingsServer()))
  const reviews =
    setup.reviews ??
    (await start(
      'reviews',
      reviewsServer({
        ratings: setup.ratings === null ? null : ratings,
        starColor: setup.starColor ?? 'black',
        ratingsTimeoutMs: setup.ratingsTimeoutMs ?? 10_000,
        podName: 'reviews-1',
      }),
    ))
  const details = setup.details ?? (await start('details', detailsServer()))
  const options = { details, reviews, ratings, sessionSecret: 'a test', upstreamTimeoutMs: 200 }
  return (await start('productpage', productPageServer(options))).origin
}

const page = async (origin: string, headers: Record<string, string> = {}): Promise<string> =>
  (await fetch(`${origin}/productpage`, { headers })).text()

async function signIn(origin: string, username: string): Promise<string> {
  const body = new URLSearchParams({ username, passwd: 'x' })
  const response = await fetch(`${origin}/login`, { method: 'POST', body, redirect: 'manual' })
  expect(response.status).toBe(302)
  expect(response.headers.get('location')).toBe('/productpage')
  return response.headers.getSetCookie()[0]!.split(';')[0]!
}

describe('productpage', () => {
  it('shows details, reviews and black stars', async () => {
    const html = await page(await bookinfo())
    expect(html).toContain('The Comedy of Errors')
    expect(html).toContain('123-1234567890')
    expect(html).toContain('Reviews served by: reviews-1')
    expect(html).toContain('style="color:black" role="img" aria-label="5 of 5 stars">★★★★★<')
    expect(html).toContain('aria-label="4 of 5 stars">★★★★☆<')
  })

  it('shows red stars of version v3, and no stars of version v1', async () => {
    expect(await page(await bookinfo({ starColor: 'red' }))).toContain('style="color:red"')
    const v1 = await page(await bookinfo({ ratings: null }))
    expect(v1).toContain('Reviewer2')
    expect(v1).not.toContain('class="stars"')
  })

  it('says so when reviews are down or too slow, asks them twice, and still answers 200', async () => {
    const reviews = await silent('reviews')
    const response = await fetch(`${await bookinfo({ reviews })}/productpage`)
    const html = await response.text()
    expect(response.status).toBe(200)
    expect(html).toContain('Error fetching product reviews!')
    expect(html).toContain('123-1234567890')
    expect(reviews.asked).toHaveLength(2)
    expect(await page(await bookinfo({ reviews: await nowhere('reviews') }))).toContain('Error fetching product reviews!')
  })

  it('says so when details are down', async () => {
    expect(await page(await bookinfo({ details: await nowhere('details') }))).toContain('Error fetching product details!')
  })

  it('shows reviews without stars when ratings fail', async () => {
    const html = await page(await bookinfo({ ratings: await nowhere('ratings') }))
    expect(html).toContain('Reviewer1')
    expect(html).toContain('Ratings service is currently unavailable')
    expect(html).not.toContain('class="stars"')
  })

  it('signs a user in and out, and hands end-user and tracing headers down to ratings', async () => {
    const ratings = await silent('ratings')
    const origin = await bookinfo({ ratings, ratingsTimeoutMs: 50 })
    const cookie = await signIn(origin, 'jason')
    const html = await page(origin, { cookie, 'x-request-id': 'r-1', traceparent: '00-aa-bb-01', 'x-b3-traceid': 'b3-1' })
    expect(html).toContain('jason (<a href="/logout">')
    const headers = ratings.asked[0]!.headers
    expect(headers).toMatchObject({
      'end-user': 'jason',
      'x-request-id': 'r-1',
      traceparent: '00-aa-bb-01',
      'x-b3-traceid': 'b3-1',
    })
    expect(headers.cookie).toBe(cookie)
    const out = await fetch(`${origin}/logout`, { headers: { cookie }, redirect: 'manual' })
    expect(out.headers.getSetCookie()[0]).toContain('Max-Age=0')
  })

  it('believes neither an end-user header nor a forged session', async () => {
    const ratings = await silent('ratings')
    const origin = await bookinfo({ ratings, ratingsTimeoutMs: 50 })
    const cookie = await signIn(origin, 'jason')
    await page(origin, { cookie: `${cookie}x`, 'end-user': 'jason' })
    expect(ratings.asked[0]!.headers['end-user']).toBeUndefined()
  })

  it('escapes what a user and other services say', async () => {
    const origin = await bookinfo()
    const html = await page(origin, { cookie: await signIn(origin, '<script>') })
    expect(html).toContain('&lt;script&gt;')
    expect(html).not.toContain('<script>')
  })

  it('refuses a login without a name or with control characters', async () => {
    const origin = await bookinfo()
    for (const username of ['', ' ', 'a\nb', 'ü']) {
      const body = new URLSearchParams({ username })
      expect((await fetch(`${origin}/login`, { method: 'POST', body, redirect: 'manual' })).status).toBe(400)
    }
  })

  it('answers the API, with the status of the service that failed', async () => {
    const origin = await bookinfo()
    const get = async (path: string): Promise<unknown> => (await fetch(origin + path)).json()
    expect(await get('/api/v1/products')).toMatchObject([{ id: 0, title: 'The Comedy of Errors' }])
    expect(await get('/api/v1/products/0')).toMatchObject({ id: 0, author: 'William Shakespeare', pages: 200 })
    expect(await get('/api/v1/products/0/reviews')).toMatchObject({
      id: '0',
      reviews: [{ rating: { stars: 5, color: 'black' } }, {}],
    })
    expect(await get('/api/v1/products/0/ratings')).toEqual({ id: 0, ratings: { Reviewer1: 5, Reviewer2: 4 } })
    expect((await fetch(`${origin}/api/v1/products/x`)).status).toBe(400)
    const broken = await bookinfo({ details: await nowhere('details') })
    expect((await fetch(`${broken}/api/v1/products/0`)).status).toBe(500)
  })

  it('tells its health', async () => {
    expect(await (await fetch(`${await bookinfo()}/health`)).text()).toBe('Product page is healthy')
  })
})

describe('ratings', () => {
  it('keeps what is posted and refuses what is no rating', async () => {
    const { origin } = await start('ratings', ratingsServer())
    const post = (path: string, body: unknown): Promise<Response> =>
      fetch(origin + path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
    expect((await post('/ratings/7', { Ann: 3 })).status).toBe(200)
    expect(await (await fetch(`${origin}/ratings/7`)).json()).toEqual({ id: 7, ratings: { Ann: 3 } })
    for (const wrong of [[], { Ann: 6 }, { Ann: '3' }, { Ann: 1.5 }]) expect((await post('/ratings/7', wrong)).status).toBe(400)
    expect((await post('/ratings/x', { Ann: 3 })).status).toBe(400)
    expect((await fetch(`${origin}/ratings/-1`)).status).toBe(400)
  })
})
