import { getSystemErrorName } from 'node:util'

/** An error of a system call (`errno`: positive) as Node would make it, without the stack, which is the same for all, and dear: peers leave all the time. */
export function systemFailure(errno: number, syscall: 'read' | 'write'): Error {
  const code = getSystemErrorName(-errno)
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const error = Object.assign(new Error(`${syscall} ${code}`), { code, syscall, errno: -errno })
  Error.stackTraceLimit = stackTraceLimit
  return error
}
