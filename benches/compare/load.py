"""The load rows: wrk against every running system in turn, in interleaved rounds."""

import statistics
import subprocess
import sys
from dataclasses import dataclass

import client
from systems import System
from tools import HERE, Tools

WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Load:
    """One table: what wrk asks for, over how many connections."""

    name: str
    title: str
    path: str
    connections: int


LOADS = (
    Load("tiny", "Tiny response (13 bytes), 32 connections", "/", 32),
    Load("single", "Tiny response, one connection: one request at a time", "/", 1),
    Load("64k", "64 KB response, 32 connections", "/64k", 32),
)


@dataclass
class Run:
    """One wrk run against one system."""

    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    cpu_us_by_process: dict[str, float]
    rss_mb: float
    not_2xx: int
    socket_errors: int

    def counts(self) -> bool:
        """Refusals are quick: a run with failures says nothing about speed."""
        return self.requests > 0 and self.not_2xx == 0 and self.socket_errors == 0


@dataclass
class Figures:
    """What wrk found, as wrk_report.lua prints it."""

    requests: int
    duration_us: int
    p50_us: int
    p99_us: int
    longest_us: int
    not_2xx: int
    socket_errors: int


Runs = dict[str, list[Run]]


class Broken(Exception):
    """wrk could not reach a system that had been up."""


def measure(load: Load, systems: list[System], tools: Tools, rounds: int, seconds: int) -> tuple[Runs, dict[str, str]]:
    """The runs by system, and the reasons of those that broke. Interleaved: a slow spell meets every system, not one."""
    broken: dict[str, str] = {}
    runs: Runs = {system.name: [] for system in systems}
    for number in range(1, rounds + 1):
        for system in systems:
            if system.name in broken:
                continue
            print(f"  {load.name} {number}/{rounds}: {system.name}", file=sys.stderr)
            try:
                if number == 1:
                    wrk(load, system, tools, WARM_UP_SECONDS)
                runs[system.name].append(run_once(load, system, tools, seconds))
            except Broken as reason:
                broken[system.name] = str(reason)
                del runs[system.name]
    return runs, broken


def run_once(load: Load, system: System, tools: Tools, seconds: int) -> Run:
    before = system.cpu_seconds()
    found = wrk(load, system, tools, seconds)
    spent = {role: after - before[role] for role, after in system.cpu_seconds().items()}
    per_request = {role: cpu * 1e6 / max(found.requests, 1) for role, cpu in spent.items()}
    return Run(
        requests=found.requests, requests_per_second=found.requests * 1e6 / found.duration_us,
        p50_ms=found.p50_us / 1000, p99_ms=found.p99_us / 1000,
        cpu_us=sum(per_request.values()), cpu_us_by_process=per_request,
        rss_mb=system.rss_mb(), not_2xx=found.not_2xx, socket_errors=found.socket_errors,
    )


def wrk(load: Load, system: System, tools: Tools, seconds: int) -> Figures:
    done = subprocess.run([
        str(tools.wrk()), "-t1", f"-c{load.connections}", f"-d{seconds}s", "-s", str(HERE / "wrk_report.lua"),
        "-H", f"Host: {system.host}", "-H", f"Authorization: {client.AUTHORIZATION}",
        f"http://127.0.0.1:{system.port}{load.path}",
    ], capture_output=True, text=True)
    found = figures(done)
    if found is None:
        dead = [f"{child.name} ended: {child.tail()}" for child in system.children if not child.alive()]
        raise Broken("; ".join([f"wrk: {done.stderr.strip() or done.stdout.strip()}", *dead]))
    return found


def figures(done: subprocess.CompletedProcess) -> Figures | None:
    """The line of wrk_report.lua, if wrk got as far."""
    line = next((line for line in done.stdout.splitlines() if line.startswith("BENCH ")), None)
    return line and Figures(*(int(word) for word in line.split()[1:]))


def median(runs: list, figure: str) -> float:
    return statistics.median(getattr(run, figure) for run in runs)


def ratio(runs: list, base: list, figure: str) -> float | None:
    """The median of the rounds' own ratios: neighbours in time share the machine's mood."""
    pairs = [getattr(run, figure) / getattr(other, figure)
             for run, other in zip(runs, base) if getattr(other, figure) > 0]
    return statistics.median(pairs) if pairs else None
