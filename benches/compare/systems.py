"""The systems that are compared: how each is started in front of an upstream, and which processes are its own."""

from dataclasses import dataclass, field

import adit
import client
import nginx
from procs import Child, Lab, wait_until
from tools import Tools

HOST = "app.bench.test"


@dataclass
class System:
    """A running row of the tables. `children` are its own processes by role; the origin is nobody's."""

    name: str
    port: int
    children: list[Child] = field(default_factory=list)
    host: str = HOST

    def cpu_seconds(self) -> dict[str, float]:
        return {child.name: child.cpu_seconds() for child in self.children}

    def rss_mb(self) -> float:
        return sum(child.rss_kb() for child in self.children) / 1024


def start(name: str, lab: Lab, tools: Tools, upstream_port: int) -> System:
    """Starts the named system and waits until it answers through to the upstream.

    Raises `Missing` for a program that is not installed and `NotReady` for one that does not come up.
    """
    before = list(lab.children)
    try:
        system = STARTERS[name](lab, tools, upstream_port)
        wait_until(lambda: client.answers(system.port, system.host), f"an answer through {name}", system.children)
    except Exception:
        lab.stop(*(child for child in lab.children if child not in before))
        raise
    return system


def stop(lab: Lab, system: System) -> None:
    lab.stop(*reversed(system.children))


def start_direct(_lab: Lab, _tools: Tools, upstream_port: int) -> System:
    return System("direct", upstream_port)


def start_nginx(lab: Lab, tools: Tools, upstream_port: int) -> System:
    child, port = nginx.start_proxy(lab, tools.nginx(), upstream_port)
    return System("nginx", port, [child])


def start_plain(lab: Lab, tools: Tools, upstream_port: int) -> System:
    port = lab.port()
    child = lab.spawn("plain_proxy", [
        tools.plain_proxy(), "--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{upstream_port}",
    ], lab.folder("plain"))
    child.wait_for_port(port)
    return System("plain-pingora", port, [child])


def start_adit(lab: Lab, tools: Tools, upstream_port: int) -> System:
    gateway = adit.start_gateway(lab, tools)
    agent = adit.spawn_agent(lab, tools, gateway, upstream_port, HOST)
    agent.wait_for_line(adit.STARTED)
    return System("adit", gateway.http_port, [gateway.child, agent])


def start_adit_policy(lab: Lab, tools: Tools, upstream_port: int) -> System:
    gateway = adit.start_gateway(lab, tools, [{"url": f"http://{HOST}", "traffic_policy": adit.POLICY}])
    agent = adit.spawn_agent(lab, tools, gateway, upstream_port, HOST)
    agent.wait_for_line(adit.STARTED)
    return System("adit+policy", gateway.http_port, [gateway.child, agent])


def start_rathole(lab: Lab, tools: Tools, upstream_port: int) -> System:
    control_port, public_port = lab.port(), lab.port()
    folder = lab.folder("rathole")
    # Without nodelay, bodies wait for the peer's delayed acknowledgement, which would be an unfair rival.
    (folder / "server.toml").write_text(f"""
[server]
bind_addr = "127.0.0.1:{control_port}"
default_token = "bench"
[server.transport]
type = "tcp"
[server.transport.tcp]
nodelay = true
[server.services.web]
bind_addr = "127.0.0.1:{public_port}"
nodelay = true
""")
    (folder / "client.toml").write_text(f"""
[client]
remote_addr = "127.0.0.1:{control_port}"
default_token = "bench"
[client.transport]
type = "tcp"
[client.transport.tcp]
nodelay = true
[client.services.web]
local_addr = "127.0.0.1:{upstream_port}"
nodelay = true
""")
    server = lab.spawn("rathole-server", [tools.rathole(), "--server", "server.toml"], folder)
    server.wait_for_port(control_port)
    agent = lab.spawn("rathole-client", [tools.rathole(), "--client", "client.toml"], folder)
    agent.wait_for_port(public_port)
    return System("rathole", public_port, [server, agent])


def start_nginx_rathole(lab: Lab, tools: Tools, upstream_port: int) -> System:
    tunnel = start_rathole(lab, tools, upstream_port)
    child, port = nginx.start_proxy(lab, tools.nginx(), tunnel.port)
    return System("nginx+rathole", port, [child, *tunnel.children])


def start_nginx_policy_rathole(lab: Lab, tools: Tools, upstream_port: int) -> System:
    tunnel = start_rathole(lab, tools, upstream_port)
    child, port = nginx.start_proxy(lab, tools.nginx(), tunnel.port, policy=True)
    return System("nginx(policy)+rathole", port, [child, *tunnel.children])


# In the order of the tables; `direct` and `nginx` come first because the others are set against them.
STARTERS = {
    "direct": start_direct,
    "nginx": start_nginx,
    "plain-pingora": start_plain,
    "adit": start_adit,
    "adit+policy": start_adit_policy,
    "rathole": start_rathole,
    "nginx+rathole": start_nginx_rathole,
    "nginx(policy)+rathole": start_nginx_policy_rathole,
}

LABELS = {
    "direct": "direct to the origin",
    "nginx": "nginx, one hop",
    "plain-pingora": "plain Pingora proxy, one hop",
    "adit": "**Adit** (gateway + agent, TLS tunnel)",
    "adit+policy": "**Adit with a policy** (the same, 5 actions, 3 expressions)",
    "rathole": "rathole (TCP tunnel, no TLS)",
    "nginx+rathole": "nginx + rathole (no TLS on the tunnel)",
    "nginx(policy)+rathole": "nginx with the same features + rathole (no TLS on the tunnel)",
}
