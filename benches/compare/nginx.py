"""nginx as the origin of every row, and as the peer with one hop."""

import os
from pathlib import Path

from procs import Child, Lab

TINY_BODY = "Hello, Adit!\n"  # 13 bytes
FILE_BYTES = 64 * 1024

# Connections must outlive every run: nginx's own defaults close them after 1000 requests or a minute.
CONFIG = """
daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid nginx.pid; error_log error.log; {user}
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on;
  keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  {upstream}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    {locations}
  }}
}}
"""

# Without the two lines about the connection, nginx opens a new one upstream for every request; with buffering to
# disk, large bodies would measure the disk.
FORWARD = """
    location / {
      proxy_pass http://upstream_server; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; proxy_max_temp_file_size 0; client_max_body_size 0;
    }"""


def start_origin(lab: Lab, nginx: Path) -> tuple[Child, int]:
    """The origin: `/` answers 13 bytes, `/64k` a file of 64 KB."""
    folder, port = lab.folder("origin"), lab.port()
    (folder / "64k").write_bytes(os.urandom(FILE_BYTES))
    body = TINY_BODY.replace("\n", "\\n")
    locations = f"""
    location = / {{ default_type text/plain; return 200 "{body}"; }}
    location = /64k {{ root {folder}; open_file_cache max=10; }}"""
    return start(lab, nginx, "origin", folder, port, upstream="", locations=locations), port


def start_proxy(lab: Lab, nginx: Path, upstream_port: int) -> tuple[Child, int]:
    """One hop to `upstream_port` over kept connections."""
    port = lab.port()
    upstream = (f"upstream upstream_server {{ server 127.0.0.1:{upstream_port}; "
                "keepalive 64; keepalive_requests 1000000000; keepalive_timeout 1h; }")
    return start(lab, nginx, "nginx", lab.folder("nginx"), port, upstream, FORWARD), port


def start(lab: Lab, nginx: Path, name: str, folder: Path, port: int, upstream: str, locations: str) -> Child:
    # Started by root, the worker would change to a user who may not read the scratch directory.
    user = "user root;" if os.geteuid() == 0 else ""
    config = CONFIG.format(user=user, upstream=upstream, port=port, locations=locations)
    (folder / "nginx.conf").write_text(config)
    child = lab.spawn(name, [nginx, "-p", folder, "-c", "nginx.conf", "-e", "error.log"], folder)
    child.wait_for_port(port)
    return child
