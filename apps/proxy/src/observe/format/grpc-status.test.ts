import { names } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { RequestHead, ResponseHead } from '@weft/http/message'
import { expect, it } from 'vitest'
import { StreamRecord } from '../stream-record.ts'
import type { FormatContext } from './context.ts'
import { grpcStatusNumber } from './grpc-status.ts'

// As Envoy 1.40 logs it.
it.each([
  ['5', null, 200, 5],
  [null, '5', 200, 5],
  ['', '5', 200, 5],
  ['', null, 503, 14],
  [null, '', 200, 2],
  ['x', null, 200, -1],
  [null, null, 404, 12],
])('grpc-status %j in trailers and %j in headers of a %i is %i', (trailer, header, responseCode, status) => {
  const request = new RequestHead()
  request.headers.append(names.contentType, 'application/grpc')
  const response = new ResponseHead()
  const responseTrailers = new HeaderTable()
  if (trailer !== null) responseTrailers.append(names.grpcStatus, trailer)
  if (header !== null) response.headers.append(names.grpcStatus, header)
  const info = new StreamRecord()
  info.responseCode = responseCode
  expect(grpcStatusNumber({ request, response, responseTrailers, info } as unknown as FormatContext)).toBe(status)
})
