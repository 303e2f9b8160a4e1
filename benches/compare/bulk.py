"""Bulk throughput: one large file down and one up through each system, by curl."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import systems
from procs import Child, Lab, NotReady
from tools import HERE, Missing, Tools

CURL_TIMEOUT = 120


@dataclass
class Transfer:
    mb_per_second: float
    cpu_ms_per_mb: float


@dataclass
class Bulk:
    down: list[Transfer]
    up: list[Transfer]


def measure(lab: Lab, tools: Tools, names: list[str], megabytes: int, rounds: int) -> tuple[dict[str, Bulk], dict[str, str]]:
    """The results by system, and the reasons of those that were skipped."""
    origin, port, file = start_origin(lab, megabytes)
    results, skipped, running = {}, {}, []
    for name in names:
        try:
            running.append(systems.start(name, lab, tools, port))
            results[name] = Bulk([], [])
        except (Missing, NotReady) as reason:
            skipped[name] = str(reason)
    for number in range(1, rounds + 1):
        for system in list(running):
            print(f"  bulk {number}/{rounds}: {system.name}", file=sys.stderr)
            try:
                down, up = transfer(system, tools, file, "down"), transfer(system, tools, file, "up")
            except BadTransfer as reason:
                skipped[system.name] = str(reason)
                results.pop(system.name)
                running.remove(system)
                systems.stop(lab, system)
                continue
            results[system.name].down.append(down)
            results[system.name].up.append(up)
    for system in running:
        systems.stop(lab, system)
    lab.stop(origin)
    return results, skipped


class BadTransfer(Exception):
    """A transfer that was refused, cut or never ended."""


def start_origin(lab: Lab, megabytes: int) -> tuple[Child, int, Path]:
    folder, port = lab.folder("bulk"), lab.port()
    file = folder / "bulk"
    with file.open("wb") as body:
        body.truncate(megabytes * 1_000_000)
    child = lab.spawn("bulk-origin", [sys.executable, HERE / "bulk_origin.py", port, file], folder)
    child.wait_for_port(port)
    return child, port, file


def transfer(system: systems.System, tools: Tools, file: Path, direction: str) -> Transfer:
    size = file.stat().st_size
    # Without an empty Expect, curl waits for a 100 before it uploads.
    upload = ["-T", str(file), "-H", "Expect:"] if direction == "up" else []
    before = sum(system.cpu_seconds().values())
    done = subprocess.run([
        str(tools.curl()), "-q", "-sS", "--noproxy", "*", "--max-time", str(CURL_TIMEOUT), "-o", "/dev/null", *upload,
        "-H", f"Host: {system.host}", "-w", "%{http_code} %{size_download} %{size_upload} %{time_total}",
        f"http://127.0.0.1:{system.port}/bulk",
    ], capture_output=True, text=True)
    cpu_seconds = sum(system.cpu_seconds().values()) - before
    if done.returncode != 0:
        raise BadTransfer(f"{direction}: {done.stderr.strip()}")
    status, received, sent, seconds = done.stdout.split()
    moved = int(sent if direction == "up" else received)
    if status != "200" or moved != size:
        raise BadTransfer(f"{direction}: status {status}, {moved} of {size} bytes")
    megabytes = size / 1e6
    return Transfer(megabytes / float(seconds), cpu_seconds * 1000 / megabytes)
