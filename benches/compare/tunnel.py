"""What only a gateway has: a fresh agent's first byte, and memory for what is idle."""

import statistics
import sys
import time
from dataclasses import dataclass

import adit
import client
from procs import Child, Lab, NotReady
from tools import Tools

SETTLE_SECONDS = 5.0
SETTLE_STEP = 0.25
AGENTS_TIMEOUT = 180.0
WARM_UP_REQUESTS = 50


@dataclass
class FirstByte:
    """Milliseconds of a fresh agent: from its start to `online`, then of the first request and of the second."""

    online_ms: list[float]
    first_request_ms: list[float]
    second_request_ms: list[float]


@dataclass
class Idle:
    """Gateway memory, in KB, before and with `count` idle peers."""

    count: int
    before_kb: int
    after_kb: int

    def kb_each(self) -> float:
        return (self.after_kb - self.before_kb) / self.count


def first_byte(lab: Lab, tools: Tools, upstream_port: int, attempts: int) -> FirstByte:
    """Each attempt has an agent and a URL of its own, so that none inherits a session or a stream."""
    gateway = adit.start_gateway(lab, tools)
    result = FirstByte([], [], [])
    for number in range(attempts):
        print(f"  first-byte {number + 1}/{attempts}", file=sys.stderr)
        host = f"fresh{number}.bench.test"
        started = time.perf_counter()
        agent = adit.spawn_agent(lab, tools, gateway, upstream_port, host)
        agent.wait_for_line(adit.STARTED)
        result.online_ms.append((time.perf_counter() - started) * 1000)
        for figures in (result.first_request_ms, result.second_request_ms):
            answer = client.get(gateway.http_port, host)
            if answer.status != 200:
                raise NotReady(f"the first request to a fresh agent was answered with {answer.status}")
            figures.append(answer.first_byte_seconds * 1000)
        lab.stop(agent)
    lab.stop(gateway.child)
    return result


def idle_agents(lab: Lab, tools: Tools, count: int) -> Idle:
    """Memory of a fresh gateway, then with `count` agents that are connected and silent."""
    print(f"  idle-agents: {count}", file=sys.stderr)
    program = tools.idle_agents()
    gateway = adit.start_gateway(lab, tools)
    before = settled_rss_kb(gateway.child)
    agents = lab.spawn("idle_agents", [
        program, "--connect", f"localhost:{gateway.https_port}", "--token", adit.TOKEN,
        "--ca", gateway.ca, "--count", count,
    ], lab.folder("idle-agents"))
    agents.wait_for_line("ready", AGENTS_TIMEOUT)
    after = settled_rss_kb(gateway.child)
    if not agents.alive():
        raise NotReady(f"the idle agents ended early: {agents.tail()}")
    lab.stop(agents, gateway.child)
    return Idle(count, before, after)


def idle_clients(lab: Lab, tools: Tools, upstream_port: int, count: int) -> Idle:
    """Memory of a gateway that has served, then with `count` client connections open after one request each."""
    print(f"  idle-clients: {count}", file=sys.stderr)
    host = "app.bench.test"
    gateway = adit.start_gateway(lab, tools)
    agent = adit.spawn_agent(lab, tools, gateway, upstream_port, host)
    agent.wait_for_line(adit.STARTED)
    for _ in range(WARM_UP_REQUESTS):
        client.get(gateway.http_port, host)
    before = settled_rss_kb(gateway.child)
    connections = []
    try:
        for _ in range(count):
            connections.append(client.open_connection(gateway.http_port))
            answer = client.ask(connections[-1], host)
            if answer.status != 200:
                raise NotReady(f"connection {len(connections)} was answered with {answer.status}")
        after = settled_rss_kb(gateway.child)
        still_open = sum(client.is_open(connection) for connection in connections)
    finally:
        for connection in connections:
            connection.close()
    if still_open < count:
        raise NotReady(f"only {still_open} of {count} idle client connections stayed open")
    lab.stop(agent, gateway.child)
    return Idle(count, before, after)


def settled_rss_kb(child: Child) -> int:
    """Resident memory once two looks in a row agree within a percent."""
    deadline = time.monotonic() + SETTLE_SECONDS
    last = child.rss_kb()
    while time.monotonic() < deadline:
        time.sleep(SETTLE_STEP)
        now = child.rss_kb()
        if abs(now - last) * 100 <= last:
            return now
        last = now
    return last


def median(figures: list[float]) -> float:
    return statistics.median(figures)
