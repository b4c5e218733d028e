import type { TokenBucket } from '../../../shared/token-buckets.ts'
import type { Pace } from '../paced-body.ts'

/** As a bucket that others use too has tokens, one a byte. */
export class BucketPace implements Pace {
  readonly pauseAbove = 1024 * 1024
  readonly resumeAt = 512 * 1024
  private readonly bucket: TokenBucket
  private readonly intervalMs: number

  /** `intervalMs`: how often it looks for tokens. */
  constructor(bucket: TokenBucket, intervalMs: number) {
    this.bucket = bucket
    this.intervalMs = intervalMs
  }

  take(wanted: number): number {
    for (let bytes = wanted; bytes > 0; ) {
      const now = process.hrtime.bigint()
      bytes = Math.min(bytes, this.bucket.remaining(now))
      // Another worker may have been faster.
      if (bytes > 0 && this.bucket.consume(now, bytes)) return bytes
    }
    return 0
  }

  waitMs(): number {
    return this.intervalMs
  }
}
