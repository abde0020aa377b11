"""A real nginx before several API processes, which can leave one of them out."""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from devstack.processes.process import DevstackError
from devstack.servers.ports import LOOPBACK, accepts
from devstack.servers.server import Server

_SYSTEM = f"{os.defpath}:/usr/sbin:/sbin"
_KEPT = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_CONFIG = """daemon off; {user} pid {directory}/pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off; {kept}
    upstream agentforge {{
        {servers}
        keepalive 64;
        keepalive_timeout 20s; # shorter than gunicorn's 30
    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://agentforge;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_read_timeout 60s; # a long poll lasts 30 at most
        }}
    }}
}}
"""


def program() -> str:
    """The path of nginx; raises `DevstackError` without one."""
    found = shutil.which("nginx", path=_SYSTEM)
    if found is None:
        raise DevstackError("This needs Debian's package nginx-light.")
    return found


class Balancer(Server):
    """nginx before the APIs at `ports`."""

    label = "nginx"

    def __init__(self, directory: Path, ports: Sequence[int]) -> None:
        super().__init__(directory)
        self._ports = ports

    def url(self, database: str = "") -> str:
        """The address for clients."""
        return f"http://{LOOPBACK}:{self.port}{database}"

    def is_ready(self) -> bool:
        return accepts(self.port)

    def leave_out(self, *ports: int) -> None:
        """Send new requests to the others only; those that are under way are finished."""
        self._write(ports)
        os.kill(self.pid, signal.SIGHUP)

    def _write(self, left_out: Sequence[int] = ()) -> Path:
        servers = [f"server {LOOPBACK}:{port}{' down' if port in left_out else ''};" for port in self._ports]
        text = _CONFIG.format(
            user="user root;" if os.geteuid() == 0 else "",  # otherwise its workers may not enter the directory
            directory=self.directory,
            kept=" ".join(f"{name}_temp_path {self.directory / name};" for name in _KEPT),
            servers="\n        ".join(servers),
            listen=f"{LOOPBACK}:{self.port}",
        )
        path = self.directory / "nginx.conf"
        path.write_text(text)
        return path

    def _prepare(self) -> list[str]:
        return [program(), "-p", str(self.directory), "-c", str(self._write()), "-e", "stderr"]
