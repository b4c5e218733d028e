import type { Interceptor, ServerInterceptor } from '@grpc/grpc-js'

/** Interceptors that give each gRPC call a span and carry the trace on (W3C `traceparent`); empty while tracing is off. */
export interface GrpcTracing {
  server: ServerInterceptor[]
  client: Interceptor[]
}
