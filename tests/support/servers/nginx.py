"""A real nginx of the Debian package with our site, on loopback, with all its files in one directory."""

import os
import re
from pathlib import Path

from devstack.servers.ports import LOOPBACK, accepts, free_port
from devstack.servers.server import Server
from tests.support.servers import debian
from tests.support.servers.certificates import certificate_for

SITE = Path(__file__).parents[3] / "deploy" / "nginx.conf"
LOCATIONS = SITE.parent / "nginx" / "locations.conf"  # which the site includes
CONTAINER = SITE.parent / "nginx"  # the configuration of the service `nginx` of docker-compose.yml
_KEPT = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def whole_site() -> str:
    """The site with the file that it includes."""
    before, line, after = re.split(r"(include agentforge-locations\.conf;)", SITE.read_text())
    assert line
    return before + LOCATIONS.read_text() + after


class Nginx(Server):
    """A proxy for the API at `api_port` that serves it at `path`, configured as the site's comments say."""

    label = "nginx"

    def __init__(self, directory: Path, api_port: int, *, path: str = "") -> None:
        super().__init__(directory)
        self.api_port, self._path = api_port, path

    def url(self, database: str = "") -> str:
        """The address of the API for clients that trust `certificate`."""
        return f"https://localhost:{self.port}{self._path}"

    @property
    def certificate(self) -> Path:
        """The certificate to trust; it is self-signed."""
        return self.directory / "localhost.pem"

    def is_ready(self) -> bool:
        return accepts(self.port)

    def command(self) -> list[str]:
        """Write the configuration; return the command that starts nginx with it."""
        certificate_for("localhost", self.directory)
        (self.directory / "site.conf").write_text(self._site())
        kept = "\n".join(f"{name}_temp_path {self.directory / name};" for name in _KEPT)
        user = "user root;" if os.geteuid() == 0 else ""  # otherwise its workers may not enter the directory
        main = f"daemon off; {user} pid {self.directory}/pid; error_log stderr; events {{}}"
        config = self.directory / "nginx.conf"
        config.write_text(f"{main} http {{ access_log off; {kept}\ninclude {self.directory}/site.conf; }}\n")
        program = debian.program("nginx", package="nginx-light")
        return [program, "-p", str(self.directory), "-c", str(config), "-e", "stderr"]

    def _prepare(self) -> list[str]:
        return self.command()

    def _site(self) -> str:
        site, plain = whole_site(), free_port()
        for number, port in ((443, self.port), (80, plain)):
            site = re.sub(rf"listen \[::\]:{number}\b", f"listen [::1]:{port}", site)
            site = re.sub(rf"listen {number}\b", f"listen {LOOPBACK}:{port}", site)
        site = site.replace("127.0.0.1:3000", f"{LOOPBACK}:{self.api_port}")
        site = re.sub(r"/etc/letsencrypt\S+\.pem", str(self.certificate), site)
        if self._path:
            site = site.replace("location / {", f"location {self._path}/ {{").replace("~ ^(", f"~ ^{self._path}(")
            site = site.replace('X-Forwarded-Prefix ""', f'X-Forwarded-Prefix "{self._path}"')
        return site


class ContainerNginx(Server):
    """The proxy of docker-compose.yml before servers on loopback; `upstreams` are their ports by the names there."""

    label = "nginx"

    def __init__(self, directory: Path, **upstreams: int) -> None:
        super().__init__(directory)
        self._upstreams = upstreams

    def url(self, database: str = "") -> str:
        """The address for clients that trust `certificate`."""
        return f"https://localhost:{self.port}"

    @property
    def certificate(self) -> Path:
        """The certificate to trust; it is self-signed."""
        return self.directory / "localhost.pem"

    def is_ready(self) -> bool:
        return accepts(self.port)

    def _prepare(self) -> list[str]:
        certificate_for("localhost", self.directory)
        (self.directory / "agentforge").mkdir(exist_ok=True)
        for file in CONTAINER.glob("*.conf"):
            (self.directory / "agentforge" / file.name).write_text(self._on_loopback(file.read_text()))
        (self.directory / "resolver.conf").write_text(f"resolver {LOOPBACK};")  # for names that are not asked for
        (self.directory / "site.conf").write_text((self.directory / "agentforge" / "tls.conf").read_text())
        config, user = self.directory / "nginx.conf", "user root; " if os.geteuid() == 0 else ""
        config.write_text(user + (self.directory / "agentforge" / "nginx.conf").read_text())
        program = debian.program("nginx", package="nginx-light")
        return [program, "-p", str(self.directory), "-c", str(config), "-e", "stderr"]

    def _on_loopback(self, text: str) -> str:
        ports = {"8443": self.port, "8080": free_port(), "127.0.0.1:8081": free_port()}
        for listed, port in ports.items():
            text = text.replace(f"listen {listed}", f"listen {LOOPBACK}:{port}")
        for name, port in self._upstreams.items():
            text = re.sub(rf"\b{name}:\d+;", f"{LOOPBACK}:{port};", text)
        text = re.sub(r"/run/secrets/tls_\w+", str(self.certificate), text)
        text = text.replace("/var/www/agentforge/nginx/", f"{self.directory}/agentforge/")
        return text.replace("/tmp/", f"{self.directory}/").replace("mime.types", "/etc/nginx/mime.types")  # noqa: S108
