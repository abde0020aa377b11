"""What a stack with simulators is given: the files of its secrets, and the env file of its settings."""

import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from devstack.containers.compose import ROOT
from devstack.processes.process import DevstackError
from devstack.servers.ports import LOOPBACK, is_free

FILES = (ROOT / "docker-compose.yml", ROOT / "docker-compose.demo.yml")
_SIMULATED = {
    "stripe_secret_key": "sk_test_{}",
    "stripe_webhook_secret": "whsec_{}",
    "openclaw_token": "{}",
    "demo_password": "{}",
}
_SMTP = "smtp://mail:18794"
_CERTIFY = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365")
_NAMED_MAIL = ("-subj", "/CN=mail", "-addext", "subjectAltName=DNS:mail")


@dataclass(frozen=True)
class PublishedPorts:
    """The ports of this host, on loopback."""

    http: int = 8080
    https: int = 8443
    mail: int = 18793


@dataclass(frozen=True)
class Setup:
    """The files in `directory`, made where they are missing."""

    directory: Path
    ports: PublishedPorts
    address: str  # of the API, as clients know it

    @property
    def env_file(self) -> Path:
        """The settings, for `--env-file`."""
        return self.directory / "env"

    @property
    def secrets(self) -> Path:
        """The directory with a file for each secret."""
        return self.directory / "secrets"

    def secret(self, name: str) -> str:
        """The value of a secret."""
        return (self.secrets / name).read_text().strip()

    def write(self, **more: str) -> None:
        """Make the files; `more` are further settings."""
        self.secrets.mkdir(parents=True, exist_ok=True)
        for name, form in _SIMULATED.items():
            self._put(name, form.format(secrets.token_hex(12)))
        self._put("smtp_url", _SMTP)
        if not (self.secrets / "mail_key").exists():
            files = ("-keyout", self.secrets / "mail_key", "-out", self.secrets / "mail_certificate")
            _run("openssl", *_CERTIFY, *_NAMED_MAIL, *files)
            (self.secrets / "mail_key").chmod(0o444)
        _run(ROOT / "deploy" / "secrets.sh", self.secrets)
        lines = [f"{name}={value}" for name, value in (self._settings() | more).items()]
        self.env_file.write_text("\n".join(lines) + "\n")

    def _put(self, name: str, value: str) -> None:
        file = self.secrets / name
        if not file.exists():
            file.write_text(value)
            file.chmod(0o444)  # the containers' users read it; the directory is for its owner only

    def _settings(self) -> Mapping[str, str]:
        return {
            "HTTP_PORT": f"{LOOPBACK}:{self.ports.http}",
            "HTTPS_PORT": f"{LOOPBACK}:{self.ports.https}",
            "MAIL_PORT": f"{LOOPBACK}:{self.ports.mail}",
            "SECRETS_DIR": str(self.secrets.absolute()),
            "OPENCLAW_URL": "ws://openclaw:18790",
            "DEPLOYMENT_ID": "simulated",
            "STRIPE_LIVEMODE": "false",
            "MAIL_FROM": "AgentForge <no-reply@agentforge.example>",
            "APP_URL": self.address,
            "CONSOLE_URL": f"{self.address}/console",
        }


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DevstackError(f"The secrets cannot be made: {done.stderr}")


def free_ports() -> PublishedPorts:
    """The usual ports, or the next free ones."""
    return PublishedPorts(**{name: _free_from(port) for name, port in asdict(PublishedPorts()).items()})


def _free_from(first: int) -> int:
    return next(port for port in range(first, 65_535) if is_free(port))
