/** The probe service: methods over bytes, whose behaviour the caller's metadata ask for (core_server.py is the same). */

const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value }

function method(name: string, requestStream: boolean, responseStream: boolean) {
  return {
    path: `/weft.e2e.Probe/${name}`,
    requestStream,
    responseStream,
    requestSerialize: bytes.serialize,
    requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize,
    responseDeserialize: bytes.deserialize,
  }
}

export const probe = {
  /** Gives back what it gets. */
  echo: method('Echo', false, false),
  /** Gives the length of all it gets. */
  collect: method('Collect', true, false),
  /** `NUMBER SIZE`: gives so many messages of so many bytes. */
  spread: method('Spread', false, true),
  /** Gives back each message. */
  chat: method('Chat', true, true),
  /** Gives what the server has seen: `Seen` as JSON. */
  seen: method('Seen', false, false),
}

export interface Seen {
  /** Calls that the client gave up. */
  cancelled: number
  /** Messages that `spread` could write. */
  sent: number
  /** Calls by the key of `x-fail-first`. */
  attempts: Record<string, number>
}

/** For clients and servers here. */
export const unlimited = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.so_reuseport': 0,
}
