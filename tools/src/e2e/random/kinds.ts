/** What speaks HTTP/2 in a seed: nobody, the clients, or the proxy to its origins. */
export const kinds = ['http1', 'http2'] as const
export type Kind = (typeof kinds)[number]
