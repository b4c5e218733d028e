import { headerName, names } from '@weft/http/header-name'
import { ResponseHead } from '@weft/http/message'
import { expect, it } from 'vitest'
import { localReplyBody } from './local-reply.ts'

function reply(body: string, edit: (head: ResponseHead) => void, grpc = false) {
  const head = new ResponseHead()
  const sent = localReplyBody(head, 404, body, { details: 'd', edit }, grpc, 'GET')
  const headers: string[] = []
  head.headers.forEach((name, value) => {
    headers.push(`${name}: ${value}`)
  })
  return { status: head.status, headers, body: sent === null ? null : sent.toString() }
}

// As Envoy 1.40 wrote the same answers.
it('lets edits choose the type of a body, and not take it away', () => {
  const typed = reply('{}', ({ headers }) => headers.append(names.contentType, 'application/json'))
  expect(typed).toEqual({ status: 404, headers: ['content-type: application/json', 'content-length: 2'], body: '{}' })
  const removed = reply('x', ({ headers }) => void headers.remove(names.contentType))
  expect(removed.headers).toEqual(['content-length: 1', 'content-type: text/plain'])
})

it('gives an answer without a body no type', () => {
  const empty = reply('', ({ headers }) => {
    headers.append(names.contentType, 'text/html')
    headers.append(headerName('x-a'), '1')
  })
  expect(empty).toEqual({ status: 404, headers: ['x-a: 1'], body: null })
})

it('answers gRPC in headers', () => {
  const answer = reply('no', () => {}, true)
  expect(answer).toEqual({
    status: 200,
    headers: ['content-type: application/grpc', 'grpc-status: 12', 'grpc-message: no'],
    body: null,
  })
})
