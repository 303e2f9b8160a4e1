"""The origin of the bulk rows: GET sends a file with sendfile, PUT reads a body and throws it away.

Usage: bulk_origin.py PORT FILE. Its own program, because nginx answers an upload that it discards before it has read it,
and a proxy in front may then stop sending.
"""

import socket
import sys
import threading

READ_SIZE = 1 << 20


def main() -> None:
    port, file = int(sys.argv[1]), sys.argv[2]
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, file), daemon=True).start()


def serve(connection: socket.socket, file: str) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        try:
            while exchange(connection, file):
                pass
        except OSError:
            pass  # The peer went away, which is how proxies end idle connections.


def exchange(connection: socket.socket, file: str) -> bool:
    """Answers one request; false when the connection is over."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return False
        received += chunk
    head, _, rest = received.partition(b"\r\n\r\n")
    method, path = head.split(b" ", 2)[:2]
    if method == b"GET" and path == b"/bulk":
        send_file(connection, file)
    elif method == b"PUT":
        length = declared_length(head)
        if length is None:
            reply(connection, b"411 Length Required", b"content-length needed\n")
            return False
        swallow(connection, length - len(rest))
        reply(connection, b"200 OK", b"%d\n" % length)
    else:
        reply(connection, b"200 OK", b"ok\n")
    return True


def send_file(connection: socket.socket, file: str) -> None:
    with open(file, "rb") as body:
        length = body.seek(0, 2)
        body.seek(0)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        connection.sendfile(body)


def swallow(connection: socket.socket, remaining: int) -> None:
    buffer = bytearray(READ_SIZE)
    while remaining > 0:
        count = connection.recv_into(buffer, min(remaining, READ_SIZE))
        if count == 0:
            raise OSError("the body ended early")
        remaining -= count


def reply(connection: socket.socket, status: bytes, body: bytes) -> None:
    connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


def declared_length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return None


if __name__ == "__main__":
    main()
