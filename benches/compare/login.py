"""Logins through `openid-connect`: how many a gateway carries, and what one costs it."""

import base64
import http.client
import shutil
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from dataclasses import dataclass

import adit
from procs import Lab, NotReady
from tools import HERE, Missing, Tools

HOST = "app.bench.test"
BROWSERS = 8
WARM_UP_LOGINS = 50


@dataclass
class Logins:
    """`count` whole logins by browsers that never sign in twice, eight at a time."""

    count: int
    per_second: float
    gateway_us_each: float


def measure(lab: Lab, tools: Tools, upstream_port: int, count: int) -> Logins:
    print(f"  logins: {count}", file=sys.stderr)
    node = shutil.which("node")
    if node is None:
        raise Missing("node is not installed: it runs the provider of the login bench")
    provider = lab.spawn("login_provider", [node, HERE / "login_provider.mjs"], lab.folder("provider"))
    provider.wait_for_line("ready ")
    issuer = provider.log.read_text().split("ready ", 1)[1].split()[0]
    policy = {"on_http_request": [{"actions": [{"type": "openid-connect", "config": {
        "issuer_url": issuer, "client_id": "bench", "client_secret": "only-for-loopback",
    }}]}]}
    gateway = adit.start_gateway(
        lab, tools, [{"url": f"https://{HOST}", "traffic_policy": policy}],
        {"fetch": {"allow": [urllib.parse.urlsplit(issuer).netloc], "allow_private": True}})
    agent = adit.spawn_agent(lab, tools, gateway, upstream_port, HOST, "https")
    agent.wait_for_line(adit.STARTED)
    trust = ssl.create_default_context(cafile=str(gateway.ca))
    sign_in(gateway.https_port, trust, WARM_UP_LOGINS)
    began, spent = time.perf_counter(), gateway.child.cpu_seconds()
    sign_in(gateway.https_port, trust, count)
    spent, took = gateway.child.cpu_seconds() - spent, time.perf_counter() - began
    lab.stop(agent, gateway.child, provider)
    return Logins(count, count / took, spent * 1e6 / count)


def sign_in(port: int, trust: ssl.SSLContext, count: int) -> None:
    """So many logins, shared among the browsers."""
    left, failures = iter(range(count)), []

    def browse() -> None:
        try:
            gateway = Gateway(port, trust)
            for _ in left:
                gateway.sign_in()
        except (OSError, KeyError, NotReady, http.client.HTTPException) as reason:
            failures.append(reason)

    threads = [threading.Thread(target=browse) for _ in range(BROWSERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise NotReady(f"a login failed: {failures[0]!r}")


class Gateway(http.client.HTTPSConnection):
    """One kept connection to the gateway, by the name of the endpoint."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        super().__init__(HOST, port, timeout=10)
        self.trust = trust

    def connect(self) -> None:
        self.sock = self.trust.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 10), server_hostname=HOST)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def sign_in(self) -> None:
        """The way of a browser that was never here: sent away, back with a code, and in."""
        login, cookies = self.follow("/deep?link=1", {})
        # The provider lets everybody in, so what it would answer is known: its part is not what is measured.
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(login).query))
        code = base64url(asked["nonce"])
        back = f"/adit/oauth2/callback?{urllib.parse.urlencode({'state': asked['state'], 'code': code})}"
        landed, session = self.follow(back, cookies)
        if urllib.parse.urlsplit(landed).path != "/deep" or not any("session" in name for name in session):
            raise NotReady(f"a login ended at {landed} with the cookies {list(session)}")

    def follow(self, target: str, cookies: dict[str, str]) -> tuple[str, dict[str, str]]:
        """Where the answer leads, and the cookies that it sets."""
        line = "; ".join(f"{name}={value}" for name, value in cookies.items())
        self.request("GET", target, headers={"Accept": "text/html", **({"Cookie": line} if line else {})})
        answer = self.getresponse()
        body = answer.read()
        if answer.status not in (302, 303):
            raise NotReady(f"{target.split('?')[0]} was answered with {answer.status}: {body[-300:]!r}")
        lines = answer.headers.get_all("set-cookie") or []
        pairs = (line.split(";", 1)[0].split("=", 1) for line in lines if "max-age=0" not in line.lower())
        return answer.headers["location"], dict(pairs)


def base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
