"""What clients feel while the fleet behind one URL changes: an agent is killed, agents are upgraded, the gateway is."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import adit
import load
from procs import Child, Lab, NotReady
from tools import HERE, Tools

HOST = "app.bench.test"
AGENTS = 3
SECONDS = 6
CONNECTIONS = 16
# Paced by its connections alone a load generator would fill both cores, and the waits that show would be its own.
PAUSE_MS = 5


@dataclass
class Upheaval:
    """One run of wrk while something happened."""

    name: str
    requests: int
    p50_ms: float
    p99_ms: float
    longest_ms: float
    failed: int


class Fleet:
    """A gateway and three agents of one pool."""

    def __init__(self, lab: Lab, tools: Tools, upstream_port: int) -> None:
        self.lab, self.tools, self.upstream_port = lab, tools, upstream_port
        self.gateway = adit.start_gateway(lab, tools, [{"url": f"http://{HOST}"}])
        self.agents = [self.agent() for _ in range(AGENTS)]

    def agent(self) -> Child:
        agent = adit.spawn_agent(self.lab, self.tools, self.gateway, self.upstream_port, HOST)
        agent.wait_for_line(adit.STARTED)
        return agent

    def nothing(self) -> None:
        """The mark for the others."""

    def kill_one(self) -> None:
        """`kill -9`: no goodbye, and the others take over."""
        os.kill(self.agents[0].popen.pid, signal.SIGKILL)
        self.agents[0].popen.wait()

    def upgrade_agents(self) -> None:
        """Each agent in turn: the new one comes up, then the old one is asked to go."""
        for at, old in enumerate(self.agents):
            self.agents[at] = self.agent()
            self.end(old)

    def upgrade_gateway(self) -> None:
        """`adit gateway --take-over` beside the old one, which then finishes and ends."""
        old = self.gateway.child
        new = self.lab.spawn("gateway-2", [
            self.tools.adit(), "gateway", "--config", "gateway.yaml", "--take-over",
        ], old.log.parent)
        new.wait_for_line("listening")
        if old.alive():
            old.popen.send_signal(signal.SIGTERM)
        self.gateway.child = new

    def end(self, child: Child) -> None:
        child.popen.send_signal(signal.SIGTERM)
        child.popen.wait(15)

    def stop(self) -> None:
        self.lab.stop(*[child for child in reversed(self.lab.children) if child.name.startswith(("agent", "gateway"))])


HAPPENINGS = (
    ("nothing happens", Fleet.nothing),
    ("one of three agents is killed", Fleet.kill_one),
    ("three agents are upgraded, one after another", Fleet.upgrade_agents),
    ("the gateway is upgraded", Fleet.upgrade_gateway),
)


def measure(lab: Lab, tools: Tools, upstream_port: int) -> list[Upheaval]:
    results = []
    for name, happening in HAPPENINGS:
        print(f"  upheavals: {name}", file=sys.stderr)
        fleet = Fleet(lab, tools, upstream_port)
        results.append(during(fleet, tools, name, happening))
        fleet.stop()
    return results


def during(fleet: Fleet, tools: Tools, name: str, happening) -> Upheaval:
    """wrk for six seconds; after two of them, it happens."""
    failures: list[Exception] = []

    def happen() -> None:
        time.sleep(SECONDS / 3)
        try:
            happening(fleet)
        except (NotReady, OSError, subprocess.TimeoutExpired) as reason:
            failures.append(reason)

    thread = threading.Thread(target=happen)
    thread.start()
    done = subprocess.run([
        str(tools.wrk()), "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--timeout", "30s", "-s", str(HERE / "wrk_report.lua"),
        "-H", f"Host: {HOST}", f"http://127.0.0.1:{fleet.gateway.http_port}/", "--", str(PAUSE_MS),
    ], capture_output=True, text=True)
    thread.join()
    if failures:
        raise NotReady(f"{name}: {failures[0]}")
    figures = load.figures(done)
    if figures is None:
        raise NotReady(f"{name}: wrk: {done.stderr.strip() or done.stdout.strip()}")
    return Upheaval(
        name, figures.requests, figures.p50_us / 1000, figures.p99_us / 1000, figures.longest_us / 1000,
        figures.not_2xx + figures.socket_errors,
    )
