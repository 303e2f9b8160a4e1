"""A minimal HTTP/1.1 client on raw sockets: for readiness, first bytes and idle connections."""

import base64
import socket
import time
from dataclasses import dataclass


# Every request carries them; only a system with a policy asks for them.
USER, PASSWORD = "bench", "only-for-loopback"
AUTHORIZATION = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass
class Answer:
    status: int
    body: bytes
    first_byte_seconds: float


def open_connection(port: int, timeout: float = 5.0) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection: socket.socket, host: str, path: str = "/") -> Answer:
    """One GET on an open connection, which stays usable; answers need a Content-Length."""
    started = time.perf_counter()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {AUTHORIZATION}\r\n\r\n".encode())
    received = connection.recv(65536)
    first_byte_seconds = time.perf_counter() - started
    while b"\r\n\r\n" not in received:
        received += more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    while len(body) < content_length(head):
        body += more(connection)
    return Answer(int(head.split(b" ", 2)[1]), body, first_byte_seconds)


def get(port: int, host: str, path: str = "/") -> Answer:
    """One GET on a connection of its own; the time to the first byte counts the connect too."""
    started = time.perf_counter()
    with open_connection(port) as connection:
        connected = time.perf_counter() - started
        answer = ask(connection, host, path)
    answer.first_byte_seconds += connected
    return answer


def answers(port: int, host: str, path: str = "/") -> bool:
    """Whether a GET is answered with 200 now."""
    try:
        return get(port, host, path).status == 200
    except (OSError, ValueError, IndexError):
        return False


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has neither closed the connection nor said anything unasked."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def more(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise OSError("connection closed in the middle of an answer")
    return received


def content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
