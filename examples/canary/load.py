#!/usr/bin/env python3
"""Load: asks an app behind the gateway on this machine, and counts which version answered.

usage: load.py [--port 9443] [--requests 500 | --watch] [--path /price/{n}] [--users]

Prints one line: how often each version answered, and how many requests failed. --watch prints one each second until it
is terminated, and then the sum. --users sends x-user: user-0 to user-99, and counts those who met two versions. It exits
with 1 if anything failed.
"""

import argparse
import collections
import http.client
import itertools
import json
import signal
import socket
import ssl
import sys
import threading
import time

HOST = "app.localhost"
CLIENTS = 4


class Connection(http.client.HTTPSConnection):
    """To this machine, whatever its resolver thinks of names below localhost."""

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


class Load:
    def __init__(self, options):
        self.options = options
        self.tls = ssl.create_default_context(cafile=options.ca)
        self.numbers = itertools.count()
        self.counts = collections.Counter()
        self.met = collections.defaultdict(set)
        self.lock = threading.Lock()
        self.stopping = threading.Event()

    def run(self):
        threads = [threading.Thread(target=self.client, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        if self.options.watch:
            signal.signal(signal.SIGTERM, lambda *_: self.stopping.set())
            signal.signal(signal.SIGINT, lambda *_: self.stopping.set())
            before = collections.Counter()
            while not self.stopping.wait(1):
                now = self.counts.copy()
                print("  " + told(now - before, now), flush=True)
                before = now
        for thread in threads:
            thread.join()
        print(told(self.counts, self.counts) + self.users(), flush=True)
        return 1 if self.counts["failed"] else 0

    def client(self):
        connection = None
        for number in self.numbers:
            enough = not self.options.watch and number >= self.options.requests
            if enough or self.stopping.is_set():
                return
            connection = connection or Connection(HOST, self.options.port, context=self.tls)
            user = f"user-{number % 100}"
            headers = {"x-user": user} if self.options.users else {}
            try:
                connection.request("GET", self.options.path.replace("{n}", str(number % 50)), headers=headers)
                answer = connection.getresponse()
                version = read(answer.read()) if answer.status == 200 else "failed"
            except (OSError, http.client.HTTPException):
                connection, version = None, "failed"
            with self.lock:
                self.counts[version] += 1
                self.met[user].add(version)
            if self.options.watch:
                time.sleep(0.01)

    def users(self):
        if not self.options.users:
            return ""
        both = sum(len(versions) > 1 for versions in self.met.values())
        return f"  users who met both {both}"


def read(body):
    """The version that a body names: in JSON, or all of it."""
    try:
        return json.loads(body)["version"]
    except (ValueError, TypeError, KeyError):
        return body.decode().strip()


def told(counts, known):
    """One line. Who is known is told with 0, too."""
    versions = sorted(set(known) - {"failed"})
    total = sum(counts.values()) or 1
    parts = [f"{version} {counts[version]} ({100 * counts[version] / total:.1f} %)" for version in versions]
    return "  ".join([*parts, f"failed {counts['failed']}"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=9443)
    parser.add_argument("--ca", default="data/ca.pem")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--path", default="/price/{n}")
    parser.add_argument("--users", action="store_true")
    parser.add_argument("--watch", action="store_true")
    sys.exit(Load(parser.parse_args()).run())


if __name__ == "__main__":
    main()
