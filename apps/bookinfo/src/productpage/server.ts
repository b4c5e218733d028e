import type { FastifyInstance, FastifyRequest } from 'fastify'
import { headersToForward } from '../forward-headers.ts'
import { createServer, productId } from '../service.ts'
import { fetchJson, type Upstream, type UpstreamAnswer } from '../upstream.ts'
import { indexHtml, type Product, productPageHtml } from './page.ts'
import { Sessions, sessionCookie } from './session.ts'

export interface ProductPageOptions {
  details: Upstream
  reviews: Upstream
  ratings: Upstream
  /** Signs the session cookie; give all replicas the same. */
  sessionSecret: string
  /** Longest wait for another service (3 s); reviews are asked a second time after a failure. */
  upstreamTimeoutMs?: number
}

const products: readonly Product[] = [
  {
    id: 0,
    title: 'The Comedy of Errors',
    descriptionHtml:
      '<b>The Comedy of Errors</b> is among the earliest and shortest plays of <b>William Shakespeare</b>: two pairs of identical twins, parted at birth, meet in one town, and everybody takes each for the other.',
  },
]

const reviewsAttempts = 2

/** The page of a book and the public API, made of what details, reviews and ratings answer. */
export function productPageServer(options: ProductPageOptions): FastifyInstance {
  const { details, reviews, ratings } = options
  const timeoutMs = options.upstreamTimeoutMs ?? 3_000
  const sessions = new Sessions(options.sessionSecret)
  const server = createServer()
  server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, new URLSearchParams(String(body)))
  })

  const userOf = (request: FastifyRequest): string => sessions.user(request.headers.cookie)

  /** What goes on to the next service: the request's tracing headers, and `end-user` for who is signed in. */
  const forwarded = (request: FastifyRequest): Record<string, string> => {
    const headers = headersToForward(request.headers)
    const user = userOf(request)
    // A visitor cannot name himself: the header only ever comes from the signed session.
    delete headers['end-user']
    if (user !== '') headers['end-user'] = user
    return headers
  }
  const getDetails = (id: number, headers: Record<string, string>): Promise<UpstreamAnswer> =>
    fetchJson(details, `/details/${id}`, headers, timeoutMs)
  const getRatings = (id: number, headers: Record<string, string>): Promise<UpstreamAnswer> =>
    fetchJson(ratings, `/ratings/${id}`, headers, timeoutMs)
  const getReviews = async (id: number, headers: Record<string, string>): Promise<UpstreamAnswer> => {
    for (let attempt = 1; ; attempt++) {
      const answer = await fetchJson(reviews, `/reviews/${id}`, headers, timeoutMs)
      if (answer.ok || attempt === reviewsAttempts) return answer
    }
  }

  server.get('/', async (request, reply) => reply.type('text/html; charset=utf-8').send(indexHtml(userOf(request))))
  server.get('/index.html', async (request, reply) => reply.type('text/html; charset=utf-8').send(indexHtml(userOf(request))))
  server.get('/health', async (_request, reply) => reply.type('text/plain').send('Product page is healthy'))
  server.get('/static/robots.txt', async (_request, reply) => reply.type('text/plain').send('User-agent: *\nDisallow: /\n'))

  server.post('/login', async (request, reply) => {
    const form = request.body
    const user = (form instanceof URLSearchParams ? form.get('username') : null)?.trim() ?? ''
    // A line break or another control character in a name could not travel in the end-user header.
    if (user === '' || /[^\x20-\x7e]/.test(user)) return reply.code(400).send({ error: 'please give a user name' })
    setSession(reply, sessions.sign(user))
    return reply.redirect('/productpage', 302)
  })
  server.get('/logout', async (_request, reply) => {
    setSession(reply, '')
    return reply.redirect('/productpage', 302)
  })

  server.get('/productpage', async (request, reply) => {
    const product = products[0]!
    const headers = forwarded(request)
    const [book, opinions] = await Promise.all([getDetails(product.id, headers), getReviews(product.id, headers)])
    const html = productPageHtml({ product, details: book, reviews: opinions, user: userOf(request) })
    return reply.type('text/html; charset=utf-8').send(html)
  })

  server.get('/api/v1/products', async () => products)
  const parts = { '': getDetails, '/reviews': getReviews, '/ratings': getRatings }
  for (const [path, get] of Object.entries(parts)) {
    server.get<{ Params: { id: string } }>(`/api/v1/products/:id${path}`, async (request, reply) => {
      const id = productId(request.params.id)
      if (id === null) return reply.code(400).send({ error: 'Invalid product id' })
      const answer = await get(id, forwarded(request))
      return answer.ok ? answer.body : reply.code(answer.status).send({ error: answer.reason })
    })
  }
  return server
}

function setSession(reply: { header(name: string, value: string): unknown }, value: string): void {
  const age = value === '' ? '; Max-Age=0' : ''
  reply.header('set-cookie', `${sessionCookie}=${value}; Path=/; HttpOnly; SameSite=Lax${age}`)
}
