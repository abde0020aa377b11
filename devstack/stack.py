"""What the one-machine stack consists of, and the environment that each of its programs gets."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from devstack.credentials import Credentials, credentials
from devstack.ports import LOOPBACK, accepts, free_port
from devstack.postgres import PostgresServer
from devstack.process import spawn
from devstack.program import Program
from devstack.redis_server import RedisServer
from devstack.server import Server
from settings import Settings

ROOT = Path(__file__).parent.parent
DATABASE = "agentforge"
EXECUTION_QUEUES = "executions.high,executions.normal,executions.low"
OTHER_QUEUES = "billing,notifications,maintenance"
FLOWER_USER = "operator"

# What a program gets from the system; everything else it is given by name.
_FROM_SYSTEM = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
_GATEWAY_TURNS = 7  # turns at a time, of all our workers together; a gateway takes 8
_API_PORT, _FLOWER_PORT, _OPENCLAW_PORT, _AI_PORT, _STRIPE_PORT = 3000, 5555, 18790, 18791, 12111
_MAIL_PORT, _SMTP_PORT = 18793, 18794
_PROVIDER_PATHS = {
    "OPENAI_BASE_URL": "/openai/v1",
    "ANTHROPIC_BASE_URL": "/anthropic/v1",
    "GOOGLE_BASE_URL": "/google/v1beta",
}


@dataclass(frozen=True)
class Ports:
    """Where the programs listen."""

    api: int
    flower: int
    openclaw: int
    ai: int
    stripe: int
    mail: int  # of the page with what was caught
    smtp: int


class Stack:
    """The stack that keeps its data in `directory`, as the environment `env` wants it."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.directory = directory.absolute()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.credentials: Credentials = credentials(self.directory)
        self.notices: list[str] = []
        self._env = env
        self._ports: Ports | None = None
        self.postgres = None if env.get("DATABASE_URL") else PostgresServer(self.directory / "postgres")
        self.redis = None if env.get("REDIS_URL") else RedisServer(self.directory / "redis")
        self.simulates_openclaw = not env.get("OPENCLAW_URL")
        self.simulates_stripe = not (env.get("STRIPE_SECRET_KEY") or env.get("STRIPE_API_BASE"))
        self.catches_mail = not env.get("SMTP_URL")
        self.simulated_providers = [name for name in _PROVIDER_PATHS if not env.get(name)]

    # Addresses -------------------------------------------------------------------------------

    @property
    def ports(self) -> Ports:
        """Chosen on first use; a taken port is replaced by a free one, and `notices` says so."""
        if self._ports is None:
            self._ports = Ports(
                api=self._pick("the API", "PORT", _API_PORT),
                flower=self._pick("Flower", "FLOWER_PORT", _FLOWER_PORT),
                openclaw=free_port(_OPENCLAW_PORT),
                ai=free_port(_AI_PORT),
                stripe=free_port(_STRIPE_PORT),
                mail=free_port(_MAIL_PORT),
                smtp=free_port(_SMTP_PORT),
            )
        return self._ports

    def database_url(self) -> str:
        return self.postgres.url(DATABASE) if self.postgres else self._env["DATABASE_URL"]

    def redis_url(self) -> str:
        return self.redis.url("0") if self.redis else self._env["REDIS_URL"]

    def addresses(self) -> dict[str, str]:
        """What a person or a script may want to open, with the passwords that takes."""
        flower = f"http://{LOOPBACK}:{self.ports.flower}"
        found = {
            "api": f"http://{LOOPBACK}:{self.ports.api}",
            "flower": flower,
            "flower_user": FLOWER_USER,
            "flower_password": self.credentials.flower_password,
            "database": self.database_url(),
            "redis": self.redis_url(),
            "openclaw": self._openclaw_url(),
        }
        if self.simulated_providers:
            found["ai_simulator"] = f"http://{LOOPBACK}:{self.ports.ai}"
        if self.simulates_stripe:
            found["stripe_simulator"] = f"http://{LOOPBACK}:{self.ports.stripe}"
        if self.catches_mail:
            found["mail"] = f"http://{LOOPBACK}:{self.ports.mail}"
        return found

    def _pick(self, what: str, variable: str, default: int) -> int:
        wanted = int(self._env.get(variable) or default)
        port = free_port(wanted)
        if port != wanted:
            self.notices.append(f"Port {wanted} is taken by another program; {what} is on port {port} instead.")
        return port

    def _openclaw_url(self) -> str:
        return f"ws://{LOOPBACK}:{self.ports.openclaw}" if self.simulates_openclaw else self._env["OPENCLAW_URL"]

    # Environment -----------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """Everything that a program of ours is told; needs the servers' ports, so they come first."""
        env = self._system_env() | {
            "AGENTFORGE_ENV": "development",
            "LOG_FORMAT": "console",
            "APP_URL": f"http://{LOOPBACK}:{self.ports.api}",
            "JWT_SECRET": self.credentials.jwt_secret,
            "ENCRYPTION_KEYS": self.credentials.encryption_keys,
            "OPENCLAW_TOKEN": self.credentials.openclaw_token,
            "OPENCLAW_MAX_IN_FLIGHT": str(max(1, _GATEWAY_TURNS // _workers())),
        }
        if self.redis:
            env["LIMITER_URL"] = self.redis.url("1")
        if self.simulated_providers:
            simulator = f"{LOOPBACK}:{self.ports.ai}"
            env["EGRESS_ALLOW"] = simulator  # the examples call it as their HTTP API
            env |= {name: f"http://{simulator}{_PROVIDER_PATHS[name]}" for name in self.simulated_providers}
        if self.simulates_stripe:
            env |= self._stripe_secrets() | {"STRIPE_API_BASE": f"http://{LOOPBACK}:{self.ports.stripe}"}
        if self.catches_mail:
            env["SMTP_URL"] = f"smtp://{LOOPBACK}:{self.ports.smtp}"
            env["EXPO_URL"] = f"http://{LOOPBACK}:{self.ports.mail}"
        env |= {name: self._env[name] for name in sorted(known_settings()) if self._env.get(name)}
        return env | {
            "DATABASE_URL": self.database_url(),
            "REDIS_URL": self.redis_url(),
            "OPENCLAW_URL": self._openclaw_url(),
            "PORT": str(self.ports.api),
        }

    def _stripe_secrets(self) -> dict[str, str]:
        """What the simulated Stripe and our programs share."""
        webhook_secret = self._env.get("STRIPE_WEBHOOK_SECRET") or self.credentials.stripe_webhook_secret
        return {"STRIPE_SECRET_KEY": self.credentials.stripe_secret_key, "STRIPE_WEBHOOK_SECRET": webhook_secret}

    def _system_env(self) -> dict[str, str]:
        return {name: self._env[name] for name in _FROM_SYSTEM if name in self._env} | {
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        }

    # Programs --------------------------------------------------------------------------------

    def programs(self) -> list[Program]:
        """All of them, by stage: servers and simulators, migrations, what needs the tables."""
        return [*self._servers(), *self._simulators(), self._migrations(), *self._services()]

    def _servers(self) -> Iterator[Program]:
        for name, server in (("postgres", self.postgres), ("redis", self.redis)):
            if server is not None:
                yield _server_program(name, server)

    def _simulators(self) -> Iterator[Program]:
        if self.simulates_openclaw:
            command = ["devstack.openclaw_simulator", "--port", str(self.ports.openclaw)]
            command += ["--token", self.credentials.openclaw_token]
            yield self._python("openclaw", command, stage=0, is_ready=partial(accepts, self.ports.openclaw))
        if self.simulated_providers:
            command = ["devstack.ai_simulator", "--port", str(self.ports.ai)]
            yield self._python("ai-providers", command, stage=0, is_ready=partial(accepts, self.ports.ai))
        if self.catches_mail:
            command = ["devstack.mail_catcher", "--port", str(self.ports.mail), "--smtp-port", str(self.ports.smtp)]
            yield self._python("mail", command, stage=0, is_ready=partial(accepts, self.ports.smtp))
        if self.simulates_stripe:
            webhook_url = f"http://{LOOPBACK}:{self.ports.api}/webhooks/stripe"
            command = ["devstack.stripe_simulator", "--port", str(self.ports.stripe), "--webhook-url", webhook_url]
            check, keys = partial(accepts, self.ports.stripe), self._stripe_secrets()
            yield self._python("stripe", command, stage=0, is_ready=check, extra=keys)

    def _migrations(self) -> Program:
        return Program("migrations", self.migrate, stage=1, once=True)

    def migrate(self, output: int) -> subprocess.Popen[bytes]:
        """Start bringing the database, which is made if need be, to the newest revision."""
        if self.postgres:
            self.postgres.create_database(DATABASE)
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        env = self._system_env() | {"DATABASE_URL": self.database_url(), "AGENTFORGE_ENV": "development"}
        return spawn(command, env=env, output=output, cwd=ROOT)

    def _services(self) -> Iterator[Program]:
        ports, celery = self.ports, ["celery", "--quiet", "-A", "celery_config:app"]
        worker = [*celery, "worker", "-P", "threads", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
        gunicorn = ["gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind", f"{LOOPBACK}:{ports.api}", "wsgi:app"]
        yield self._python("api", gunicorn, is_ready=partial(answers, ports.api, "/health/live"), gentle=True)
        for number in range(1, _workers() + 1):
            name = f"worker-{number}"
            command = [*worker, "-c", "64", "-Q", EXECUTION_QUEUES, "-n", f"executions{number}@%h"]
            yield self._python(name, command, ready_line=" ready.")
        command = [*worker, "-c", "8", "-Q", OTHER_QUEUES, "-n", "billing@%h"]
        yield self._python("worker-billing", command, ready_line=" ready.")
        yield self._python("beat", [*celery, "beat", "--loglevel", "INFO", "--pidfile="])
        command = [*celery, "flower", f"--address={LOOPBACK}", f"--port={ports.flower}", "--logging=warning"]
        login = f"{FLOWER_USER}:{self.credentials.flower_password}"  # not on the command line, which `ps` shows
        check = partial(answers, ports.flower, "/healthcheck")
        yield self._python("flower", command, is_ready=check, extra={"FLOWER_BASIC_AUTH": login})

    def _python(
        self,
        name: str,
        module: list[str],
        *,
        stage: int = 2,
        is_ready: Callable[[], bool] = lambda: True,
        ready_line: str = "",
        gentle: bool = False,
        extra: Mapping[str, str] | None = None,
    ) -> Program:
        """A program that is a Python module; `gentle` lets it stop its own children if we are killed."""
        death_signal = signal.SIGTERM if gentle else signal.SIGKILL

        def start(output: int) -> subprocess.Popen[bytes]:
            env = (self.environment() if stage else self._system_env()) | dict(extra or {})
            command = [sys.executable, "-m", *module]
            return spawn(command, env=env, output=output, cwd=ROOT, death_signal=death_signal)

        return Program(name, start, stage=stage, is_ready=is_ready, ready_line=ready_line)


def known_settings() -> set[str]:
    """Names of all variables that `settings.py` reads, asked from itself so that the list cannot be out of date."""
    asked: set[str] = set()

    class Recorder(Mapping[str, str]):
        def __getitem__(self, key: str) -> str:
            asked.add(key)
            raise KeyError(key)

        def __iter__(self) -> Iterator[str]:
            return iter(())

        def __len__(self) -> int:
            return 0

    Settings.from_env(Recorder())
    return asked


def _workers() -> int:
    """How many processes drive executions: one per core."""
    return os.cpu_count() or 1


def answers(port: int, path: str) -> bool:
    """Whether a GET on loopback gets an answer that is not an error of the server."""
    connection = HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _server_program(name: str, server: Server) -> Program:
    return Program(name, server.spawn, is_ready=server.is_ready, stop_signal=server.stop_signal, grace=30)
