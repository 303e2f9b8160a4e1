"""Child processes of the bench: a scratch directory, free ports, start, readiness, and an end that always comes."""

import atexit
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import procfs

READY_TIMEOUT = 20.0
STOP_TIMEOUT = 2.0
# Below the kernel's ephemeral range, so that a load generator's own sockets cannot take a port before its server does.
PORTS = range(20000, 32000)
# A variable of the user's own set-up must not change what is measured, and loopback must not go through a proxy.
FOREIGN_ENV = ("ADIT_", "NGROK_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class NotReady(Exception):
    """A system that did not come up; the text says which one and shows the end of its log."""


@dataclass
class Child:
    """One started program with everything it forks."""

    name: str
    popen: subprocess.Popen
    log: Path

    def alive(self) -> bool:
        return self.popen.poll() is None

    def tail(self, lines: int = 5) -> str:
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def cpu_seconds(self) -> float:
        return sum(procfs.cpu_seconds(pid) for pid in procfs.tree(self.popen.pid))

    def rss_kb(self) -> int:
        return sum(procfs.rss_kb(pid) for pid in procfs.tree(self.popen.pid))

    def wait_for_line(self, text: str, timeout: float = READY_TIMEOUT) -> None:
        """Returns as soon as the output holds `text`; fails when the program ends or the time is over."""
        wait_until(lambda: text in self.log.read_text(errors="replace"), f"{self.name} to print {text!r}", [self], timeout)

    def wait_for_port(self, port: int) -> None:
        wait_until(lambda: accepts(port), f"{self.name} to accept on port {port}", [self])

    def stop(self) -> None:
        """Asks the whole process group to end, then insists."""
        if self.alive():
            signal_group(self.popen.pid, signal.SIGTERM)
            try:
                self.popen.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                pass
        # Also after a clean end: what the program forked lives on in its group.
        signal_group(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


class Lab:
    """Owns the scratch directory and every child of one bench run."""

    def __init__(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="adit-bench-"))
        self.children: list[Child] = []
        self._given_ports: set[int] = set()
        raise_file_limit()
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda received, _frame: raise_exit(128 + received))

    def folder(self, name: str) -> Path:
        """A new, empty folder of its own in the scratch directory."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.dir))

    def port(self) -> int:
        """A loopback port that is free now and was not given out before."""
        while True:
            port = random.choice(PORTS)
            if port not in self._given_ports and is_free(port):
                self._given_ports.add(port)
                return port

    def spawn(self, name: str, argv: list, cwd: Path) -> Child:
        """Starts a program in its own process group, its output in a log file beside its data."""
        log = cwd / f"{name}.log"
        env = {key: value for key, value in os.environ.items() if not key.upper().startswith(FOREIGN_ENV)}
        env["HOME"] = env["XDG_CONFIG_HOME"] = env["XDG_DATA_HOME"] = str(cwd)
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [str(word) for word in argv], cwd=cwd, env=env, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )
        child = Child(name, popen, log)
        self.children.append(child)
        return child

    def stop(self, *children: Child) -> None:
        for child in children:
            child.stop()
            self.children.remove(child)

    def close(self) -> None:
        # A second Ctrl-C while cleaning up would leave strays behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.stop(*reversed(self.children))
        shutil.rmtree(self.dir, ignore_errors=True)


def wait_until(is_ready, what: str, needed: list[Child], timeout: float = READY_TIMEOUT) -> None:
    """Looks again and again until `is_ready()`; fails when one of the needed programs ends or the time is over."""
    deadline = time.monotonic() + timeout
    while not is_ready():
        for child in needed:
            if not child.alive():
                raise NotReady(f"{child.name} ended with status {child.popen.returncode}: {child.tail()}")
        if time.monotonic() > deadline:
            logs = "; ".join(f"{child.name} said: {child.tail()}" for child in needed)
            raise NotReady(f"waited {timeout:.0f} s for {what}; {logs}")
        time.sleep(0.002)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def raise_file_limit() -> None:
    """Thousands of idle connections need as many files, here and in the children, which inherit the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def raise_exit(status: int) -> None:
    raise SystemExit(status)


def signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass
