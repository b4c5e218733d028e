"""The probe service by C-core, the library below most languages' gRPC. Usage: core_server.py PORT"""

import json
import sys
import threading
import time
from concurrent import futures

import grpc

codes = {code.value[0]: code for code in grpc.StatusCode}
lock = threading.Lock()
seen = {'cancelled': 0, 'sent': 0, 'attempts': {}}


def count(what, by=1):
    with lock:
        seen[what] += by


def begin(context):
    """What all methods do with metadata."""
    metadata = context.invocation_metadata()
    values = {}
    echoed = []
    for key, value in metadata:
        values[key] = value
        if key in ('x-echo', 'x-echo-bin'):
            echoed.append((key, value))
    context.set_trailing_metadata((('x-trailer', 'end'), ('x-trailer-bin', b'\x00\xff')))
    if 'x-fail-first' in values:
        key, times, code = values['x-fail-first'].split(':')
        with lock:
            attempt = seen['attempts'][key] = seen['attempts'].get(key, 0) + 1
        if attempt <= int(times):
            context.abort(codes[int(code)], 'asked to fail')
    context.send_initial_metadata(tuple(echoed))
    if 'x-sleep-ms' in values:
        ended = threading.Event()
        context.add_callback(ended.set)
        if ended.wait(int(values['x-sleep-ms']) / 1000):
            count('cancelled')
    if 'x-status' in values:
        context.abort(codes[int(values['x-status'])], 'caf\u00e9 %\nline')


def echo(request, context):
    begin(context)
    return request


def collect(requests, context):
    begin(context)
    return str(sum(len(piece) for piece in requests)).encode()


def spread(request, context):
    begin(context)
    number, size = map(int, request.split())
    piece = b'x' * size
    done = False
    try:
        for _ in range(number):
            if not context.is_active():
                return
            yield piece
            count('sent')
        done = True
    finally:
        if not done:
            count('cancelled')


def chat(requests, context):
    begin(context)
    done = False
    try:
        for piece in requests:
            yield piece
        done = True
    finally:
        if not done:
            count('cancelled')


def report(_request, _context):
    with lock:
        return json.dumps(seen).encode()


server = grpc.server(
    futures.ThreadPoolExecutor(64),
    options=(('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1), ('grpc.so_reuseport', 0)),
)
server.add_generic_rpc_handlers((
    grpc.method_handlers_generic_handler('weft.e2e.Probe', {
        'Echo': grpc.unary_unary_rpc_method_handler(echo),
        'Collect': grpc.stream_unary_rpc_method_handler(collect),
        'Spread': grpc.unary_stream_rpc_method_handler(spread),
        'Chat': grpc.stream_stream_rpc_method_handler(chat),
        'Seen': grpc.unary_unary_rpc_method_handler(report),
    }),
))
server.add_insecure_port('127.0.0.1:' + sys.argv[1])
server.start()
while True:
    time.sleep(3600)
