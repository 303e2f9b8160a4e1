"""nginx as the origin of every row, and as the peer with one hop."""

import os
from pathlib import Path

from client import PASSWORD, USER
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


# The features of adit.POLICY in nginx's words. Passwords in plain text: nginx's hashes would cost it far more than ours.
POLICY_HTTP = """
  limit_req_zone $binary_remote_addr zone=all:10m rate=1000000r/s;
  map $request_method $method_ok { GET 1; HEAD 1; POST 1; default 0; }
  map $http_authorization $edge { "" ""; default bench; }"""
POLICY_SERVER = """
    auth_basic bench; auth_basic_user_file htpasswd;
    allow 127.0.0.0/8; allow 10.0.0.0/8; deny all;
    limit_req zone=all burst=1000000 nodelay;
    location /public/ { auth_basic off; return 404; }
    if ($method_ok = 0) { return 405; }
    proxy_set_header X-Internal ""; proxy_set_header X-Edge $edge; proxy_set_header Host $host;
    proxy_set_header Connection "";"""


def start_origin(lab: Lab, nginx: Path) -> tuple[Child, int]:
    """The origin: `/` answers 13 bytes, `/64k` a file of 64 KB."""
    folder, port = lab.folder("origin"), lab.port()
    (folder / "64k").write_bytes(os.urandom(FILE_BYTES))
    body = TINY_BODY.replace("\n", "\\n")
    locations = f"""
    location = / {{ default_type text/plain; return 200 "{body}"; }}
    location = /64k {{ root {folder}; open_file_cache max=10; }}"""
    return start(lab, nginx, "origin", folder, port, upstream="", locations=locations), port


def start_proxy(lab: Lab, nginx: Path, upstream_port: int, policy: bool = False) -> tuple[Child, int]:
    """One hop to `upstream_port` over kept connections, with the features of a policy if asked for."""
    port, folder = lab.port(), lab.folder("nginx")
    upstream = (f"upstream upstream_server {{ server 127.0.0.1:{upstream_port}; "
                "keepalive 64; keepalive_requests 1000000000; keepalive_timeout 1h; }")
    locations = FORWARD
    if policy:
        (folder / "htpasswd").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        # What a location sets replaces all of its server's headers, so they stand together.
        upstream += POLICY_HTTP
        locations = POLICY_SERVER + FORWARD.replace('proxy_set_header Connection "";', "")
    return start(lab, nginx, "nginx", folder, port, upstream, locations), port


def start(lab: Lab, nginx: Path, name: str, folder: Path, port: int, upstream: str, locations: str) -> Child:
    # Started by root, the worker would change to a user who may not read the scratch directory.
    user = "user root;" if os.geteuid() == 0 else ""
    config = CONFIG.format(user=user, upstream=upstream, port=port, locations=locations)
    (folder / "nginx.conf").write_text(config)
    child = lab.spawn(name, [nginx, "-p", folder, "-c", "nginx.conf", "-e", "error.log"], folder)
    child.wait_for_port(port)
    return child
