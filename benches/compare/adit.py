"""Adit under test: a gateway process, an agent process, and the TLS tunnel between them."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from client import PASSWORD, USER
from procs import Child, Lab
from tools import Tools

TOKEN = "adit_bench_token_only_for_loopback_1234"
STARTED = 'msg="started tunnel"'


@dataclass
class Gateway:
    child: Child
    https_port: int
    http_port: int
    ca: Path


# Basic authentication, an address list, a rate limit, two header actions, three expressions.
POLICY = {"on_http_request": [
    {
        "expressions": ["!req.url.path.startsWith('/public/')", "req.method in ['GET', 'HEAD', 'POST']"],
        "actions": [
            {"type": "basic-auth", "config": {"credentials": [f"{USER}:{PASSWORD}"]}},
            {"type": "restrict-ips", "config": {"allow": ["127.0.0.0/8", "10.0.0.0/8"]}},
            {"type": "rate-limit", "config": {
                "name": "all", "algorithm": "sliding_window", "capacity": 1_000_000_000, "rate": "60s",
                "bucket_key": ["conn.client_ip"],
            }},
        ],
    },
    {
        "expressions": ["has(req.headers['authorization'])"],
        "actions": [
            {"type": "remove-headers", "config": {"headers": ["x-internal"]}},
            {"type": "add-headers", "config": {"headers": {"x-edge": "bench"}}},
        ],
    },
]}


def start_gateway(lab: Lab, tools: Tools, endpoints: list[dict] | None = None, more: dict | None = None) -> Gateway:
    """A gateway with an own CA and one known token, limits out of the way of a load generator."""
    folder, https_port, http_port = lab.folder("gateway"), lab.port(), lab.port()
    ca = make_certificates(tools.openssl(), folder)
    # JSON is YAML, and leaves no doubt about quoting.
    (folder / "gateway.yaml").write_text(json.dumps({
        "domain": "bench.test",
        "listen": {"https": f"127.0.0.1:{https_port}", "http": f"127.0.0.1:{http_port}"},
        "data_dir": "./data",
        "tls": {"certificates": [{"cert": "cert.pem", "key": "key.pem"}]},
        "agents": [{
            "name": "bench",
            "token_hash": "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest(),
            "acl": ["bind:*.bench.test"],
        }],
        "endpoints": endpoints or [],
        "limits": {"connections_per_ip": 100000, "handshakes": 1000},
        **(more or {}),
    }, indent=2))
    child = lab.spawn("gateway", [tools.adit(), "gateway", "--config", "gateway.yaml"], folder)
    child.wait_for_port(https_port)
    child.wait_for_port(http_port)
    return Gateway(child, https_port, http_port, ca)


def spawn_agent(lab: Lab, tools: Tools, gateway: Gateway, upstream_port: int, host: str, scheme: str = "http") -> Child:
    """Starts an agent and returns at once; it is online when it prints `STARTED`."""
    folder = lab.folder("agent")
    (folder / "adit.yaml").write_text(json.dumps({
        "version": 3,
        "agent": {"authtoken": TOKEN, "connect_cas": str(gateway.ca)},
    }, indent=2))
    return lab.spawn("agent", [
        tools.adit(), "http", f"127.0.0.1:{upstream_port}", "--url", f"{scheme}://{host}",
        "--connect-url", f"localhost:{gateway.https_port}", "--config", "adit.yaml", "--log", "stdout",
    ], folder)


def make_certificates(openssl: Path, folder: Path) -> Path:
    """Writes cert.pem and key.pem for the gateway, signed by the CA whose certificate is returned."""
    (folder / "leaf.ext").write_text(
        "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n"
        "subjectAltName=DNS:localhost,DNS:bench.test,DNS:*.bench.test,IP:127.0.0.1\n")
    ec_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for arguments in (
        ["req", "-x509", *ec_key, "-days", "30", "-subj", "/CN=adit bench CA", "-keyout", "ca-key.pem",
         "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", "ca.pem"],
        ["req", *ec_key, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "leaf.csr"],
        ["x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
         "-days", "30", "-extfile", "leaf.ext", "-out", "cert.pem"],
    ):
        subprocess.run([str(openssl), *arguments], cwd=folder, check=True, capture_output=True)
    return folder / "ca.pem"
