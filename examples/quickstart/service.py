#!/usr/bin/env python3
"""The demo service: a page, /headers, which answers the request's headers as JSON, and /name.

usage: service.py [PORT [NAME]]     (default 3000; 0 takes a free one; the line printed first says which)
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>It works</title>
<style>
  :root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }
  body { max-width: 34rem; margin: 18vh auto; padding: 0 1.5rem }
  h1 { font-size: 2.2rem; margin: 0 }
  a { color: #c2410c }
</style>
<h1>It works.</h1>
<p>This page came from a service on 127.0.0.1, through an agent's tunnel and Adit's gateway.</p>
<p><a href="/headers">/headers</a> shows what the service was sent, and what the policy added on the way.</p>
</html>
"""


class Demo(BaseHTTPRequestHandler):
    """Answers GET, HEAD and POST; keeps the connection open, as a real service does."""

    protocol_version = "HTTP/1.1"
    name = "demo"

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            """The agent was stopped while its connection was kept."""

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/":
            self.answer(200, "text/html; charset=utf-8", PAGE)
        elif path == "/headers":
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.answer(200, "application/json", json.dumps(headers, indent=2, sort_keys=True) + "\n")
        elif path == "/name":
            self.answer(200, "text/plain; charset=utf-8", self.name + "\n")
        elif path == "/healthz":
            self.answer(200, "text/plain; charset=utf-8", "ok\n")
        else:
            self.answer(404, "text/plain; charset=utf-8", "no such page here: try /, /headers or /name\n")

    do_HEAD = do_GET

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        received = len(self.rfile.read(length))
        self.answer(200, "text/plain; charset=utf-8", f"received {received} bytes\n")

    def answer(self, status, content_type, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """The agent logs each request already."""


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    if len(sys.argv) > 2:
        Demo.name = sys.argv[2]
    server = ThreadingHTTPServer(("127.0.0.1", port), Demo)
    print(f"demo service on http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
