/** Flags of the whole process that every thread reads, in shared memory: a change is seen by the very next request. */
export class ProcessState {
  readonly buffer: SharedArrayBuffer
  private readonly cells: Int32Array

  /** A view of `buffer`, or a new state. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer
    this.cells = new Int32Array(buffer)
  }

  /** Whether the operator has the proxy fail health checks (admin `/healthcheck/fail`). */
  get healthCheckFailed(): boolean {
    return Atomics.load(this.cells, 0) === 1
  }

  set healthCheckFailed(failed: boolean) {
    Atomics.store(this.cells, 0, failed ? 1 : 0)
  }
}
