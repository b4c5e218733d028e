const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/** Milliseconds of a grpc-timeout header (gRPC over HTTP/2, Requests): up to eight digits and a unit. null: it is none. */
export function parseGrpcTimeout(text: string | null): number | null {
  const match = text === null ? null : /^(\d{1,8})([HMSmun])$/.exec(text)
  return match === null ? null : Math.ceil(Number(match[1]) * units[match[2]!]!)
}

/** The header's value for a time; eight digits are all it has. */
export function grpcTimeoutText(milliseconds: number): string {
  if (milliseconds <= 99_999_999) return `${Math.round(milliseconds)}m`
  return milliseconds <= 99_999_999_000 ? `${Math.floor(milliseconds / 1000)}S` : '99999999H'
}

/** A timeout less an offset, where it is longer than that. */
export function shortened(timeoutMs: number | null, offsetMs: number): number | null {
  return timeoutMs !== null && timeoutMs > offsetMs ? timeoutMs - offsetMs : timeoutMs
}
