import type { FastifyInstance } from 'fastify'
import { createServer, productId } from '../service.ts'

type Ratings = Record<string, number>

/** Products whose ratings a caller may set before the oldest is forgotten. */
const mostProducts = 1000
const mostReviewers = 100

/** The ratings service: `GET /ratings/:id` gives stars by reviewer, `POST` sets them (in memory). */
export function ratingsServer(): FastifyInstance {
  const server = createServer()
  const set = new Map<number, Ratings>()

  server.get('/health', async () => ({ status: 'Ratings is healthy' }))
  server.get<{ Params: { id: string } }>('/ratings/:id', async (request, reply) => {
    const id = productId(request.params.id)
    if (id === null) return reply.code(400).send({ error: 'please provide numeric product ID' })
    return { id, ratings: set.get(id) ?? { Reviewer1: 5, Reviewer2: 4 } }
  })
  server.post<{ Params: { id: string } }>('/ratings/:id', async (request, reply) => {
    const id = productId(request.params.id)
    if (id === null) return reply.code(400).send({ error: 'please provide numeric product ID' })
    const ratings = parseRatings(request.body)
    if (ratings === null) {
      const error = `please provide a JSON object of at most ${mostReviewers} reviewers, each with 1 to 5 stars`
      return reply.code(400).send({ error })
    }
    set.delete(id)
    set.set(id, ratings)
    for (const oldest of set.keys()) if (set.size > mostProducts) set.delete(oldest)
    return { id, ratings }
  })
  return server
}

function parseRatings(body: unknown): Ratings | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null
  const ratings: Ratings = {}
  const entries = Object.entries(body)
  if (entries.length > mostReviewers) return null
  for (const [reviewer, stars] of entries) {
    if (!Number.isInteger(stars) || stars < 1 || stars > 5) return null
    ratings[reviewer] = stars
  }
  return ratings
}
