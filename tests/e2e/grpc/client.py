"""A gRPC client for the end-to-end tests.

usage: client.py PORT HOST CA CASE…      CA is a PEM file, or - for plain text. Prints "ok CASE" for each case that holds.
"""

import queue
import sys

import grpc

LONGEST = 15  # seconds for any call; a case that meets it has failed


class Echo:
    """Stubs for the service in service.py."""

    def __init__(self, channel):
        kinds = {
            "unary_unary": ("One", "Seen", "Fail", "Wait", "Gone", "Remaining"),
            "unary_stream": ("Many", "FailLate"),
            "stream_unary": ("Collect",),
            "stream_stream": ("Chat",),
        }
        for kind, names in kinds.items():
            for name in names:
                setattr(self, name, getattr(channel, kind)(f"/test.Echo/{name}"))


def unary(echo):
    answer, call = echo.One.with_call(b"hello", metadata=(("x-sent", "before"),), timeout=LONGEST)
    assert answer == b"hello", answer
    assert dict(call.initial_metadata())["x-initial"] == "before", call.initial_metadata()
    trailers = dict(call.trailing_metadata())
    assert trailers["x-trailer"] == "behind" and trailers["x-trailer-bin"] == b"\x00\xff", trailers
    assert echo.One(b"", timeout=LONGEST) == b""
    big = bytes(range(256)) * 8192  # 2 MiB
    assert echo.One(big, timeout=LONGEST) == big


def many_calls(echo):
    calls = [echo.One.future(str(n).encode(), timeout=LONGEST) for n in range(200)]
    assert [call.result() for call in calls] == [str(n).encode() for n in range(200)]


def server_streaming(echo):
    call = echo.Many(b"1000", timeout=LONGEST)
    assert [int(message) for message in call] == list(range(1000))
    assert dict(call.trailing_metadata())["x-trailer"] == "behind"
    assert list(echo.Many(b"0", timeout=LONGEST)) == []


def client_streaming(echo):
    assert echo.Collect((b"x" * n for n in range(500)), timeout=LONGEST) == b"500 124750"
    assert echo.Collect(iter(()), timeout=LONGEST) == b"0 0"


def bidirectional_streaming(echo):
    """Each message comes back before the next is sent: nothing on the way waits for more."""
    to_send = queue.Queue()
    call = echo.Chat(iter(to_send.get, None), timeout=LONGEST)
    for n in range(200):
        message = str(n).encode() * 10
        to_send.put(message)
        assert next(call) == message
    to_send.put(None)
    assert next(call, None) is None
    assert call.code() == grpc.StatusCode.OK, call.code()


def error_status(echo):
    for _ in range(3):
        try:
            echo.Fail(b"", timeout=LONGEST)
            raise AssertionError("it did not fail")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error
            assert error.details() == "no such thing: grüße, 100 %", error.details()
            assert dict(error.trailing_metadata())["x-trailer"] == "behind"
    received = []
    try:
        for message in echo.FailLate(b"", timeout=LONGEST):
            received.append(message)
        raise AssertionError("it did not fail")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DATA_LOSS, error
    assert received == [b"1", b"2"], received


def deadline(echo):
    # Clients of gRPC round the time that they give up, by at most an eighth.
    remaining = float(echo.Remaining(b"", timeout=LONGEST))
    assert 5 < remaining <= LONGEST + 2, remaining
    try:
        echo.Wait(b"", timeout=0.5)
        raise AssertionError("it did not end")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert echo.Gone(b"", timeout=LONGEST) == b"yes"


def cancel(echo):
    call = echo.Wait.future(b"", timeout=LONGEST)
    # The service has begun once another call behind it is answered.
    assert echo.One(b"x", timeout=LONGEST) == b"x"
    call.cancel()
    assert echo.Gone(b"", timeout=LONGEST) == b"yes"
    streaming = echo.Chat(iter(queue.Queue().get, None), timeout=LONGEST)
    streaming.cancel()
    assert streaming.code() == grpc.StatusCode.CANCELLED
    assert echo.One(b"still here", timeout=LONGEST) == b"still here"


def forwarded(echo):
    assert echo.Seen(b"x-forwarded-for", timeout=LONGEST) == b"127.0.0.1"
    assert echo.Seen(b"x-forwarded-proto", timeout=LONGEST) in (b"http", b"https")


def refused(code):
    def case(echo):
        for call in (lambda: echo.One(b"", timeout=LONGEST), lambda: list(echo.Many(b"1", timeout=LONGEST))):
            try:
                call()
                raise AssertionError("it was not refused")
            except grpc.RpcError as error:
                assert error.code() == code, error

    return case


CASES = {
    "unary": unary,
    "many-calls": many_calls,
    "server-streaming": server_streaming,
    "client-streaming": client_streaming,
    "bidirectional-streaming": bidirectional_streaming,
    "error-status": error_status,
    "deadline": deadline,
    "cancel": cancel,
    "forwarded": forwarded,
    "permission-denied": refused(grpc.StatusCode.PERMISSION_DENIED),
    "unavailable": refused(grpc.StatusCode.UNAVAILABLE),
    "unimplemented": refused(grpc.StatusCode.UNIMPLEMENTED),
}


def main():
    port, host, ca, *cases = sys.argv[1:]
    address, options = f"127.0.0.1:{port}", [("grpc.default_authority", f"{host}:{port}")]
    options += [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
    if ca == "-":
        channel = grpc.insecure_channel(address, options)
    else:
        with open(ca, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        channel = grpc.secure_channel(address, credentials, options + [("grpc.ssl_target_name_override", host)])
    with channel:
        for case in cases:
            CASES[case](Echo(channel))
            print(f"ok {case}", flush=True)


if __name__ == "__main__":
    main()
