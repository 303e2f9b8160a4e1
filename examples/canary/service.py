#!/usr/bin/env python3
"""A small service in two versions: /price/N answers the price of an item as JSON.

usage: service.py [PORT [VERSION [--rounds]]]     (default 3001 v1; 0 takes a free port; the line printed first says which)

With --rounds it has a mistake, as candidates have: each tenth item's price has lost its cents.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Prices(BaseHTTPRequestHandler):
    """Answers GET; keeps the connection open, as a real service does."""

    protocol_version = "HTTP/1.1"
    version = "v1"
    rounds = False

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            """The agent was stopped while its connection was kept."""

    def do_GET(self):
        begin, _, number = self.path.partition("?")[0].rpartition("/")
        if begin != "/price" or not number.isdigit():
            return self.answer(404, {"error": "there is /price/N", "version": self.version})
        item = int(number)
        cents = 199 + item * 37
        if self.rounds and item % 10 == 0:
            cents -= cents % 100
        price = {"item": item, "price": cents / 100, "version": self.version, "time": time.time()}
        # The versions write their keys in different orders, which does not matter.
        self.answer(200, dict(sorted(price.items(), reverse=self.version != "v1")))

    def answer(self, status, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The agent logs each request already."""


def main():
    words = [word for word in sys.argv[1:] if word != "--rounds"]
    Prices.rounds = "--rounds" in sys.argv
    Prices.version = words[1] if len(words) > 1 else "v1"
    port = int(words[0]) if words else 3001
    server = ThreadingHTTPServer(("127.0.0.1", port), Prices)
    print(f"price service {Prices.version} on http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
