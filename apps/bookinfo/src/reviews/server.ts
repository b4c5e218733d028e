import type { FastifyInstance } from 'fastify'
import { headersToForward } from '../forward-headers.ts'
import { createServer, productId } from '../service.ts'
import { fetchJson, type Upstream } from '../upstream.ts'

export interface ReviewsOptions {
  /** Where ratings are; null for version v1, which shows none. */
  ratings: Upstream | null
  /** `black` in version v2, `red` in version v3. */
  starColor: string
  /** Longest wait for ratings; by default 10 s with black stars and 2.5 s otherwise. */
  ratingsTimeoutMs?: number
  podName?: string
  clusterName?: string
}

type Rating = { stars: number; color: string } | { error: string }

const reviews = [
  { reviewer: 'Reviewer1', text: 'Two pairs of twins, one confused town, and not a dull scene. I laughed out loud.' },
  { reviewer: 'Reviewer2', text: 'Great fun from start to end, though I missed the depth of his later plays.' },
]

/**
 * The reviews service: `GET /reviews/:id` gives a book's reviews, each with its rating when the version shows ratings.
 * Ratings that cannot be had do not fail it: the rating then says so. That the version with black stars waits 10 s,
 * longer than its caller does, is the sample's known fault, which a delay injected into ratings brings to light.
 */
export function reviewsServer(options: ReviewsOptions): FastifyInstance {
  const { ratings, starColor } = options
  const timeoutMs = options.ratingsTimeoutMs ?? (starColor === 'black' ? 10_000 : 2_500)
  const server = createServer()
  server.get('/health', async () => ({ status: 'Reviews is healthy' }))
  server.get<{ Params: { id: string } }>('/reviews/:id', async (request, reply) => {
    const id = productId(request.params.id)
    if (id === null) return reply.code(400).send({ error: 'please provide numeric product id' })
    const whose = { id: String(id), podname: options.podName ?? null, clustername: options.clusterName ?? null }
    if (ratings === null) return { ...whose, reviews }
    const answer = await fetchJson(ratings, `/ratings/${id}`, headersToForward(request.headers), timeoutMs)
    if (!answer.ok) request.log.warn(answer.reason)
    const starsOf = answer.ok ? starsByReviewer(answer.body) : null
    return {
      ...whose,
      reviews: reviews.map((review) => ({ ...review, rating: ratingOf(starsOf, review.reviewer, starColor) })),
    }
  })
  return server
}

function ratingOf(starsOf: Map<string, number> | null, reviewer: string, color: string): Rating {
  const stars = starsOf?.get(reviewer)
  return stars === undefined ? { error: 'Ratings service is currently unavailable' } : { stars, color }
}

function starsByReviewer(body: unknown): Map<string, number> | null {
  if (typeof body !== 'object' || body === null || !('ratings' in body)) return null
  const ratings = body.ratings
  if (typeof ratings !== 'object' || ratings === null) return null
  return new Map(Object.entries(ratings).filter((entry): entry is [string, number] => typeof entry[1] === 'number'))
}
