"""Many endpoints of one agent: how fast they are bound, what they weigh, and what a request costs among them."""

import json
import sys
import time
from dataclasses import dataclass

import adit
import load
from procs import Child, Lab, NotReady
from systems import System
from tools import Tools
from tunnel import settled_rss_kb

FEW = 10
TIMEOUT = 300.0
LOOK = 0.005
TINY = load.LOADS[0]


@dataclass
class Endpoints:
    """One gateway and one agent with `count` endpoints. `bind_seconds`: from its session to the last of them online."""

    count: int
    start_seconds: float
    bind_seconds: float
    gateway_before_kb: int
    gateway_after_kb: int
    agent_kb: int
    runs: list[load.Run]

    def gateway_kb_each(self) -> float:
        return (self.gateway_after_kb - self.gateway_before_kb) / self.count


def measure(lab: Lab, tools: Tools, upstream_port: int, count: int, rounds: int, seconds: int) -> list[Endpoints]:
    """The same with a few and with `count`; their rounds of load are interleaved, for a slow spell meets both."""
    results, running = [], []
    for each in (FEW, count):
        result, system = start(lab, tools, upstream_port, each)
        results.append(result)
        running.append(system)
    for number in range(1, rounds + 1):
        for result, system in zip(results, running):
            print(f"  endpoints {number}/{rounds}: {result.count}", file=sys.stderr)
            if number == 1:
                load.wrk(TINY, system, tools, load.WARM_UP_SECONDS)
            result.runs.append(load.run_once(TINY, system, tools, seconds))
    for system in running:
        lab.stop(*reversed(system.children))
    return results


def start(lab: Lab, tools: Tools, upstream_port: int, count: int) -> tuple[Endpoints, System]:
    print(f"  endpoints: binding {count}", file=sys.stderr)
    limits = {"connections_per_ip": 100000, "handshakes": 1000, "endpoints_per_session": count}
    gateway = adit.start_gateway(lab, tools, more={"limits": limits})
    before = settled_rss_kb(gateway.child)
    began = time.monotonic()
    agent = spawn_agent(lab, tools, gateway, upstream_port, count)
    session, online = moments(agent, count)
    result = Endpoints(
        count=count, start_seconds=online - began, bind_seconds=online - session,
        gateway_before_kb=before, gateway_after_kb=settled_rss_kb(gateway.child),
        agent_kb=settled_rss_kb(agent), runs=[],
    )
    gateway.child.name, agent.name = "gateway", "agent"
    system = System(f"{count} endpoints", gateway.http_port, [gateway.child, agent], host=host(count // 2))
    return result, system


def spawn_agent(lab: Lab, tools: Tools, gateway: adit.Gateway, upstream_port: int, count: int) -> Child:
    """`adit start --all` with a configuration of so many endpoints, written closely: a document may have one MiB."""
    folder = lab.folder("agent")
    (folder / "adit.yaml").write_text(json.dumps({
        "version": 3,
        "agent": {
            "authtoken": adit.TOKEN, "connect_cas": str(gateway.ca), "connect_url": f"localhost:{gateway.https_port}",
        },
        "endpoints": [
            {"name": f"e{at}", "url": f"http://{host(at)}", "upstream": {"url": f"127.0.0.1:{upstream_port}"}}
            for at in range(count)
        ],
    }, separators=(",", ":")))
    return lab.spawn("agent", [
        tools.adit(), "start", "--all", "--config", "adit.yaml", "--log", "stdout", "--log-format", "logfmt",
    ], folder)


def host(at: int) -> str:
    return f"e{at}.bench.test"


def moments(agent: Child, count: int) -> tuple[float, float]:
    """When the agent had its session, and when its last endpoint was online, as its output is seen to grow."""
    session, online, rest = None, 0, ""
    deadline = time.monotonic() + TIMEOUT
    with agent.log.open(errors="replace") as log:
        while online < count:
            if not agent.alive():
                raise NotReady(f"the agent ended early: {agent.tail()}")
            if time.monotonic() > deadline:
                raise NotReady(f"{online} of {count} endpoints were bound in {TIMEOUT:.0f} s")
            time.sleep(LOOK)
            *lines, rest = (rest + log.read()).split("\n")
            if session is None and any("session established" in line for line in lines):
                session = time.monotonic()
            online += sum(adit.STARTED in line for line in lines)
    return session or time.monotonic(), time.monotonic()
