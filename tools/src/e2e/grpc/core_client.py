"""The calls of this scenario by C-core: a JSON line for each. Usage: core_client.py PORT"""

import json
import sys
import threading
import time

import grpc

unlimited = (('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1))
channel = grpc.insecure_channel('127.0.0.1:' + sys.argv[1], options=unlimited)
service = '/weft.e2e.Probe/'
echo = channel.unary_unary(service + 'Echo')
collect = channel.stream_unary(service + 'Collect')
spread = channel.unary_stream(service + 'Spread')
chat = channel.stream_stream(service + 'Chat')


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return [error.code().value[0], error.details()]
    return [0, '']


def unary():
    return len(echo(b'hello', timeout=20))


def large():
    payload = bytes(5 * 1024 * 1024)
    return echo(payload, timeout=60) == payload


def metadata():
    sent = (('x-echo', 'one'), ('x-echo', 'two'), ('x-echo-bin', bytes(range(256))))
    _, call = echo.with_call(b'', metadata=sent, timeout=20)
    initial = [[key, list(value) if isinstance(value, bytes) else value] for key, value in call.initial_metadata()]
    trailing = {key: list(value) if isinstance(value, bytes) else value for key, value in call.trailing_metadata()}
    return [[pair for pair in initial if pair[0].startswith('x-echo')], trailing['x-trailer'], trailing['x-trailer-bin']]


def client_stream():
    return collect((b'x' * 1000 for _ in range(200)), timeout=20).decode()


def server_stream():
    return [len(piece) for piece in spread(b'300 1000', timeout=20)]


def both_ways():
    """Each message is sent when the one before is back."""
    turn = threading.Semaphore(1)

    def questions():
        for number in range(50):
            turn.acquire()
            yield str(number).encode()

    answers = []
    for answer in chat(questions(), timeout=20):
        answers.append(int(answer))
        turn.release()
    return answers == list(range(50))


def status():
    return failure(lambda: echo(b'', metadata=(('x-status', '5'),), timeout=20))


def unimplemented():
    return failure(lambda: channel.unary_unary(service + 'Nothing')(b'', timeout=20))[0]


def deadline():
    return failure(lambda: echo(b'', metadata=(('x-sleep-ms', '20000'),), timeout=0.3))[0]


def cancel():
    call = spread(b'1000000 1000', timeout=60)
    for _ in range(10):
        next(call)
    call.cancel()
    return failure(lambda: next(call))[0]


def retries():
    return len(echo(b'again', metadata=(('x-fail-first', 'core:2:14'),), timeout=20))


def exhausted():
    return failure(lambda: echo(b'', metadata=(('x-fail-first', 'core-all:100:14'),), timeout=20))[0]


for call in (unary, large, metadata, client_stream, server_stream, both_ways, status, unimplemented, deadline, cancel, retries, exhausted):
    started = time.monotonic()
    try:
        line = {'call': call.__name__, 'result': call()}
    except Exception as error:
        line = {'call': call.__name__, 'error': repr(error)[:500]}
    print(json.dumps(line), flush=True)
