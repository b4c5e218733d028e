import type { FastifyInstance } from 'fastify'
import { createServer, productId } from '../service.ts'

/** The details service: `GET /details/:id` gives the facts about a book. */
export function detailsServer(): FastifyInstance {
  const server = createServer()
  server.get('/health', async () => ({ status: 'Details is healthy' }))
  server.get<{ Params: { id: string } }>('/details/:id', async (request, reply) => {
    const id = productId(request.params.id)
    if (id === null) return reply.code(400).send({ error: 'please provide numeric product id' })
    return {
      id,
      author: 'William Shakespeare',
      year: 1595,
      type: 'paperback',
      pages: 200,
      publisher: 'PublisherA',
      language: 'English',
      'ISBN-10': '1234567890',
      'ISBN-13': '123-1234567890',
    }
  })
  return server
}
