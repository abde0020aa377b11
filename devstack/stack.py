"""The programs of the one-machine stack, and their environments."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from devstack import demo_user
from devstack.credentials import Credentials, credentials
from devstack.processes.process import spawn
from devstack.processes.program import Program
from devstack.servers.ports import LOOPBACK, Ports, accepts
from devstack.servers.postgres import PostgresServer
from devstack.servers.redis_server import RedisServer
from devstack.servers.server import Server
from roles import READS, ProcessRole

ROOT = Path(__file__).parent.parent
CONSOLE = ROOT / "console" / "dist" / "index.html"
DATABASE = "agentforge"
EXECUTION_QUEUES = "executions.high,executions.normal,executions.low"
OTHER_QUEUES = "billing,notifications,maintenance"
FLOWER_USER = "operator"
WITH_DEMO_USER = "WITH_DEMO_USER"  # the variable that asks for an account to look around with
SETTINGS = frozenset().union(*READS.values())

# Variables that programs inherit from the system; all others are passed explicitly.
_FROM_SYSTEM = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
_GATEWAY_TURNS = 7  # concurrent turns of all workers together; a gateway accepts 8
_USUAL_PORTS = Ports()
_PROVIDER_PATHS = {
    "OPENAI_BASE_URL": "/openai/v1",
    "ANTHROPIC_BASE_URL": "/anthropic/v1",
    "GOOGLE_BASE_URL": "/google/v1beta",
}


class Stack:
    """The stack with its data in `directory`, listening on `ports`, configured by the environment `env`."""

    def __init__(self, directory: Path, env: Mapping[str, str], ports: Ports = _USUAL_PORTS) -> None:
        self.directory = directory.absolute()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.credentials: Credentials = credentials(self.directory)
        self.ports = ports
        self._env = env
        self.postgres = None if env.get("DATABASE_URL") else PostgresServer(self.directory / "postgres")
        self.redis = None if env.get("REDIS_URL") else RedisServer(self.directory / "redis")
        self.simulates_openclaw = not env.get("OPENCLAW_URL")
        self.simulates_stripe = not (env.get("STRIPE_SECRET_KEY") or env.get("STRIPE_API_BASE"))
        self.catches_mail = not env.get("SMTP_URL")
        self.simulated_providers = [name for name in _PROVIDER_PATHS if not env.get(name)]

    # Addresses -------------------------------------------------------------------------------

    def database_url(self) -> str:
        return self.postgres.url(DATABASE) if self.postgres else self._env["DATABASE_URL"]

    def redis_url(self) -> str:
        return self.redis.url("0") if self.redis else self._env["REDIS_URL"]

    def addresses(self) -> dict[str, str]:
        """The addresses that people and scripts may open, with their passwords."""
        flower = f"http://{LOOPBACK}:{self.ports.flower}"
        found = {
            "api": f"http://{LOOPBACK}:{self.ports.api}",
            "flower": flower,
            "metrics": f"http://{LOOPBACK}:{self.ports.metrics}/metrics",
            "flower_user": FLOWER_USER,
            "flower_password": self.credentials.flower_password,
            "database": self.database_url(),
            "redis": self.redis_url(),
            "openclaw": self._openclaw_url(),
        }
        if CONSOLE.exists():
            found["console"] = f"{found['api']}/console/"
        if self._env.get(WITH_DEMO_USER):
            found |= {"demo_user": demo_user.EMAIL, "demo_password": self.credentials.demo_password}
        if self.simulated_providers:
            found["ai_simulator"] = f"http://{LOOPBACK}:{self.ports.ai}"
        if self.simulates_stripe:
            found["stripe_simulator"] = f"http://{LOOPBACK}:{self.ports.stripe}"
        if self.catches_mail:
            found["mail"] = f"http://{LOOPBACK}:{self.ports.mail}"
        return found

    def _openclaw_url(self) -> str:
        return f"ws://{LOOPBACK}:{self.ports.openclaw}" if self.simulates_openclaw else self._env["OPENCLAW_URL"]

    # Environment -----------------------------------------------------------------------------

    def environment_of(self, role: ProcessRole) -> dict[str, str]:
        """The environment of a role's program: as in production, only variables that it needs."""
        needed = {name: value for name, value in self.environment().items() if name in READS[role]}
        return self._system_env() | needed | {"AGENTFORGE_ROLE": role.value}

    def environment(self) -> dict[str, str]:
        """All settings of our programs; the servers must have their ports already."""
        env = self._system_env() | self._own()
        if self.redis:
            env["LIMITER_URL"] = self.redis.url("1")
        if self.simulated_providers:
            simulator = f"{LOOPBACK}:{self.ports.ai}"
            env["EGRESS_ALLOW"] = simulator  # the examples call it as their HTTP API
            env |= {name: f"http://{simulator}{_PROVIDER_PATHS[name]}" for name in self.simulated_providers}
        if self.simulates_stripe:
            env |= self._stripe_secrets() | {"STRIPE_API_BASE": f"http://{LOOPBACK}:{self.ports.stripe}"}
        if self._env.get(WITH_DEMO_USER):
            env["DEMO_ACCOUNT"] = f"{demo_user.EMAIL}:{self.credentials.demo_password}"
        if self.catches_mail:
            env["SMTP_URL"] = f"smtp://{LOOPBACK}:{self.ports.smtp}"
            env["EXPO_URL"] = f"http://{LOOPBACK}:{self.ports.mail}"
        env |= {name: self._env[name] for name in sorted(SETTINGS) if self._env.get(name)}
        livemode = "_live_" in env.get("STRIPE_SECRET_KEY", "")
        return (
            {"BROKER_URL": self.redis_url(), "STRIPE_LIVEMODE": str(livemode).lower()}
            | env
            | {
                "DATABASE_URL": self.database_url(),
                "REDIS_URL": self.redis_url(),
                "OPENCLAW_URL": self._openclaw_url(),
                "PORT": str(self.ports.api),
            }
        )

    def _own(self) -> dict[str, str]:
        """Settings of a stack on one machine."""
        api = f"http://{LOOPBACK}:{self.ports.api}"
        return {
            "AGENTFORGE_ENV": "development",
            "LOG_FORMAT": "console",
            "APP_URL": api,
            # Links in mails lead to the console, if it is here and no other address was chosen for them.
            "CONSOLE_URL": f"{api}/console" if CONSOLE.exists() and "APP_URL" not in self._env else "",
            "JWT_SECRET": self.credentials.jwt_secret,
            "ENCRYPTION_KEYS": self.credentials.encryption_keys,
            "OPENCLAW_TOKEN": self.credentials.openclaw_token,
            "OPENCLAW_MAX_IN_FLIGHT": str(_GATEWAY_TURNS),
        }

    def _stripe_secrets(self) -> dict[str, str]:
        """The secrets shared by the simulated Stripe and our programs."""
        webhook_secret = self._env.get("STRIPE_WEBHOOK_SECRET") or self.credentials.stripe_webhook_secret
        return {"STRIPE_SECRET_KEY": self.credentials.stripe_secret_key, "STRIPE_WEBHOOK_SECRET": webhook_secret}

    def _system_env(self) -> dict[str, str]:
        return {name: self._env[name] for name in _FROM_SYSTEM if name in self._env} | {
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        }

    # Programs --------------------------------------------------------------------------------

    def programs(self) -> list[Program]:
        """All programs by stage: servers and simulators, migrations, programs that need the tables, the demo user."""
        return [*self._servers(), *self._simulators(), self._migrations(), *self._services(), *self._demo_user()]

    def _servers(self) -> Iterator[Program]:
        for name, server in (("postgres", self.postgres), ("redis", self.redis)):
            if server is not None:
                yield _server_program(name, server)

    def _simulators(self) -> Iterator[Program]:
        if self.simulates_openclaw:
            command = ["simulators.openclaw", "--port", str(self.ports.openclaw)]
            command += ["--token", self.credentials.openclaw_token]
            yield self._python("openclaw", command, is_ready=partial(accepts, self.ports.openclaw))
        if self.simulated_providers:
            command = ["simulators.ai.server", "--port", str(self.ports.ai)]
            yield self._python("ai-providers", command, is_ready=partial(accepts, self.ports.ai))
        if self.catches_mail:
            command = ["simulators.mail.catcher", "--port", str(self.ports.mail), "--smtp-port", str(self.ports.smtp)]
            yield self._python("mail", command, is_ready=partial(accepts, self.ports.smtp))
        if self.simulates_stripe:
            webhook_url = f"http://{LOOPBACK}:{self.ports.api}/webhooks/stripe"
            command = ["simulators.stripe", "--port", str(self.ports.stripe), "--webhook-url", webhook_url]
            check, keys = partial(accepts, self.ports.stripe), self._stripe_secrets()
            yield self._python("stripe", command, is_ready=check, extra=keys)

    def _migrations(self) -> Program:
        return Program("migrations", self.migrate, stage=1, once=True)

    def migrate(self, output: int) -> subprocess.Popen[bytes]:
        """Start the migration of the database to the newest revision, creating the database if needed."""
        if self.postgres:
            self.postgres.create_database(DATABASE)
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        return spawn(command, env=self.environment_of(ProcessRole.MIGRATE), output=output, cwd=ROOT)

    def _services(self) -> Iterator[Program]:
        ports, celery = self.ports, ["celery", "--quiet", "-A", "celery_config:app"]
        worker = [*celery, "worker", "-P", "threads", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
        gunicorn = ["gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind", f"{LOOPBACK}:{ports.api}", "asgi:app"]
        check = partial(is_up, ports.api, "/health/live")
        metrics = {"METRICS_PORT": str(ports.metrics)}
        yield self._python("api", gunicorn, role=ProcessRole.API, is_ready=check, gentle=True, extra=metrics)
        for number in range(1, _workers() + 1):
            name = f"worker-{number}"
            command = [*worker, "-c", "64", "-Q", EXECUTION_QUEUES, "-n", f"executions{number}@%h"]
            own, role = self._own_metrics(number), ProcessRole.WORKER_EXECUTIONS
            yield self._python(name, command, role=role, ready_line=" ready.", extra=own)
        command, own = [*worker, "-c", "8", "-Q", OTHER_QUEUES, "-n", "billing@%h"], self._own_metrics(0)
        yield self._python("worker-billing", command, role=ProcessRole.WORKER_BILLING, ready_line=" ready.", extra=own)
        command, own = [*celery, "beat", "--loglevel", "INFO", "--pidfile="], self._own_metrics(_workers() + 1)
        yield self._python("beat", command, role=ProcessRole.BEAT, extra=own)
        command = [*celery, "flower", "--conf=deploy/flower.conf.py", "--logging=warning"]
        command += [f"--address={LOOPBACK}", f"--port={ports.flower}"]
        login = f"{FLOWER_USER}:{self.credentials.flower_password}"  # not on the command line, which `ps` shows
        check = partial(is_up, ports.flower, "/healthcheck")
        own = {"FLOWER_BASIC_AUTH": login}
        yield self._python("flower", command, role=ProcessRole.FLOWER, is_ready=check, extra=own)

    def _own_metrics(self, number: int) -> dict[str, str]:
        """The port of a worker's or beat's own metrics: one after the other from the given one on; none without it."""
        first = int(self._env.get("WORKER_METRICS_PORT") or 0)
        return {"WORKER_METRICS_PORT": str(first + number)} if first else {}

    def _demo_user(self) -> Iterator[Program]:
        if not self._env.get(WITH_DEMO_USER):
            return
        mail = f"http://{LOOPBACK}:{self.ports.mail}" if self.catches_mail else ""
        command = [sys.executable, "-m", "devstack.demo_user", f"http://{LOOPBACK}:{self.ports.api}", mail]
        env = self._system_env() | {demo_user.PASSWORD: self.credentials.demo_password}  # not shown by `ps`
        yield Program("demo-user", lambda output: spawn(command, env=env, output=output, cwd=ROOT), stage=3, once=True)

    def _python(
        self,
        name: str,
        module: list[str],
        *,
        role: ProcessRole | None = None,
        is_ready: Callable[[], bool] = lambda: True,
        ready_line: str = "",
        gentle: bool = False,
        extra: Mapping[str, str] | None = None,
    ) -> Program:
        """A Python program with a role's environment, or a simulator; `gentle` lets it stop its children if we die."""
        death_signal = signal.SIGTERM if gentle else signal.SIGKILL

        def start(output: int) -> subprocess.Popen[bytes]:
            env = (self.environment_of(role) if role else self._system_env()) | dict(extra or {})
            command = [sys.executable, "-m", *module]
            return spawn(command, env=env, output=output, cwd=ROOT, death_signal=death_signal)

        return Program(name, start, stage=2 if role else 0, is_ready=is_ready, ready_line=ready_line)


def _workers() -> int:
    """The number of processes that drive executions: one per core."""
    return os.cpu_count() or 1


def is_up(port: int, path: str, host: str = LOOPBACK) -> bool:
    """Whether a GET gets a response below 500."""
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _server_program(name: str, server: Server) -> Program:
    return Program(name, server.spawn, is_ready=server.is_ready, stop_signal=server.stop_signal, grace=30)
