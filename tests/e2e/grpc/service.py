"""A gRPC service for the end-to-end tests: messages are plain bytes, so nothing has to be generated.

usage: service.py        prints "ready PORT" and serves until its standard input ends
"""

import sys
import threading
from concurrent import futures

import grpc

cancelled = threading.Semaphore(0)


def one(message, context):
    """Unary: the message back, with metadata in front and behind."""
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", sent.get("x-sent", "")),))
    context.set_trailing_metadata((("x-trailer", "behind"), ("x-trailer-bin", b"\x00\xff")))
    return message


def seen(message, context):
    """Unary: a header of the request, by name."""
    return dict(context.invocation_metadata()).get(message.decode(), "").encode()


def many(message, context):
    """Server streaming: the numbers below the one that was sent."""
    for n in range(int(message)):
        yield str(n).encode()
    context.set_trailing_metadata((("x-trailer", "behind"),))


def collect(messages, context):
    """Client streaming: how many there were, and how many bytes."""
    lengths = [len(message) for message in messages]
    return f"{len(lengths)} {sum(lengths)}".encode()


def chat(messages, context):
    """Bidirectional: each message back as soon as it is there."""
    for message in messages:
        yield message


def fail(message, context):
    """Unary: always a status."""
    context.set_trailing_metadata((("x-trailer", "behind"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: grüße, 100 %")


def fail_late(message, context):
    """Server streaming: two messages, then a status."""
    yield b"1"
    yield b"2"
    context.abort(grpc.StatusCode.DATA_LOSS, "the third is lost")


def wait(message, context):
    """Unary: answers only when the caller has gone."""
    gone = threading.Event()
    context.add_callback(gone.set)
    gone.wait()
    cancelled.release()
    return b""


def gone(message, context):
    """Unary: answers when a caller of `wait` has gone."""
    return b"yes" if cancelled.acquire(timeout=10) else b"no"


def remaining(message, context):
    """Unary: the seconds that the caller gives it."""
    return str(context.time_remaining() or 0).encode()


def main():
    server = grpc.server(futures.ThreadPoolExecutor(32), options=(("grpc.max_receive_message_length", -1),))
    handlers = {
        "One": grpc.unary_unary_rpc_method_handler(one),
        "Seen": grpc.unary_unary_rpc_method_handler(seen),
        "Many": grpc.unary_stream_rpc_method_handler(many),
        "Collect": grpc.stream_unary_rpc_method_handler(collect),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
        "Wait": grpc.unary_unary_rpc_method_handler(wait),
        "Gone": grpc.unary_unary_rpc_method_handler(gone),
        "Remaining": grpc.unary_unary_rpc_method_handler(remaining),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"ready {port}", flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
