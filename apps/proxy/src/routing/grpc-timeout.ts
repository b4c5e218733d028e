const most = 99_999_999
const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/** Milliseconds of a grpc-timeout header (gRPC over HTTP/2, Requests): up to eight digits and a unit. null: it is none. */
export function parseGrpcTimeout(text: string | null): number | null {
  const match = text === null ? null : /^(\d{1,8})([HMSmun])$/.exec(text)
  return match === null ? null : Math.ceil(Number(match[1]) * units[match[2]!]!)
}

/** The header's value for a time; eight digits are all it has. */
export function grpcTimeoutText(milliseconds: number): string {
  if (milliseconds <= most) return `${Math.round(milliseconds)}m`
  for (const unit of ['S', 'M', 'H']) {
    const whole = Math.floor(milliseconds / units[unit]!)
    if (whole <= most) return `${whole}${unit}`
  }
  return `${most}H`
}

/** A timeout less an offset, where it is longer than that. */
export function shortened(timeoutMs: number | null, offsetMs: number): number | null {
  return timeoutMs !== null && timeoutMs > offsetMs ? timeoutMs - offsetMs : timeoutMs
}
