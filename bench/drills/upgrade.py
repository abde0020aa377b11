"""`make upgrade-drill`: migrate under load, and let the former version work on the new schema.

The former version is the code of the commit before the one that last changed `migrations/versions`. Its API and
workers serve users while the migrations of this checkout run, and afterwards, first alone and then beside this version.
The exit status is 1 if a request failed or a run was lost.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from bench.arguments import parse
from bench.drills import services
from bench.drills.balancer import Balancer, program
from bench.drills.clients import Clients
from bench.drills.progress import say
from bench.drills.services import ROOT, Service
from bench.soak.drift import query, unfinished
from bench.soak.traffic import make_users
from devstack.app_client import AppClient
from devstack.processes.process import DevstackError
from devstack.run_audit import wrongs
from devstack.servers.ports import free_port
from devstack.servers.postgres import running_postgres
from devstack.servers.redis_server import running_redis
from devstack.stack import EXECUTION_QUEUES, OTHER_QUEUES
from models.db import connect
from simulators.openclaw import Simulator, running_simulator
from simulators.stripe import StripeSimulator, running_stripe_simulator

MIGRATIONS = "migrations/versions"
STEP = {"id": "a", "type": "process", "label": "A", "config": {"expression": "1"}}
STORY_SECONDS = 60.0


def former_commit() -> str:
    """The commit before the last change of the migrations.

    Raises `DevstackError` outside git, and where the history has not so many commits.
    """
    changed = _git("status", "--porcelain", "--", MIGRATIONS)
    last = _git("log", "-1", "--format=%H", "--", MIGRATIONS).strip()
    return _git("rev-parse", "--verify", "HEAD" if changed else f"{last}^").strip()


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise DevstackError("This needs git.") from None
    if done.returncode:
        raise DevstackError(f"This needs the history of a git checkout: {done.stderr.strip()[:200]}")
    return done.stdout


def check_out(commit: str, directory: Path) -> Path:
    """Write the files of a commit into a directory; nothing is registered in the repository."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(directory, filter="data")
    return directory


class Upgrade:
    """One database, and the processes of two versions before it."""

    def __init__(self, directory: Path, env: Mapping[str, str], ports: tuple[int, int], former: Path) -> None:
        self._env = env
        self.old = self._version("old", former, ports[0], directory)
        self.new = self._version("new", ROOT, ports[1], directory)
        self.former, self.started = former, list[Service]()

    def _version(self, name: str, root: Path, port: int, logs: Path) -> list[Service]:
        queues = ((f"{name}-executions", EXECUTION_QUEUES), (f"{name}-others", OTHER_QUEUES))
        workers = [services.worker(label, queue, self._env, logs, root) for label, queue in queues]
        beat = ["celery", "--quiet", "-A", "celery_config:app", "beat", "--pidfile=", f"--schedule={logs}/{name}-beat"]
        always = Service(f"{name}-beat", beat, self._env, logs, lambda _: True, root)
        return [services.api(port, self._env, logs, root), *workers, always]

    def migrate(self, root: Path) -> str:
        """Bring the database to the newest revision of a version; return its number."""
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        done = subprocess.run(command, cwd=root, env=dict(self._env), capture_output=True, text=True, check=False)
        if done.returncode:
            raise DevstackError(f"The migration failed: {done.stderr[-2000:]}")
        return str(query(self._env["DATABASE_URL"], "SELECT version_num FROM alembic_version")[0][0])

    def start(self, version: list[Service]) -> None:
        """Start the processes of a version."""
        for service in version:
            self.started.append(service)
            service.start()

    def stop(self, version: list[Service]) -> None:
        """Stop them, as a deploy does."""
        for service in version:
            service.terminate()
        for service in version:
            service.wait()


def story(app: AppClient) -> None:
    """What a user does: save, change and run a workflow, look at it, buy credits, delete."""
    workflow = app.save("Story", {"nodes": [STEP], "connections": []})
    app.save("Story", {"nodes": [STEP | {"label": "B"}], "connections": []})
    ended = list(app.watch(app.execute(workflow["id"], None)))[-1]
    if ended["status"] != "success":
        raise DevstackError(f"A run of the story ended as {ended['status']}.")
    for path in ("/executions", f"/executions/{ended['id']}", "/credits/history", "/auth/me"):
        app.call("GET", path)
    before = _balance(app)
    app.call("POST", "/credits/purchase", {"packageId": "pack_100", "paymentMethodId": "pm_card_visa"})
    deadline = time.monotonic() + STORY_SECONDS
    while _balance(app) <= before:
        if time.monotonic() > deadline:
            raise DevstackError("A purchase of the story is not credited.")
        time.sleep(0.2)
    app.call("DELETE", f"/workflows/{workflow['id']}")


def _balance(app: AppClient) -> Decimal:
    return Decimal(str(app.call("GET", "/credits/balance")["balance"]))


def main() -> int:
    """Run the drill and print its figures."""
    args = _arguments()
    try:
        program()
        commit = args.former or former_commit()
    except DevstackError as error:
        say(f"Skipped: {error}")
        return 0
    ports = (free_port(), free_port())
    with (
        tempfile.TemporaryDirectory(prefix="agentforge-upgrade-", ignore_cleanup_errors=True) as folder,
        running_simulator(delay=0.05) as openclaw,
        running_postgres(Path(folder) / "postgres") as postgres,
        running_redis(Path(folder) / "redis") as redis,
        Balancer(Path(folder) / "nginx", ports) as balancer,
        running_stripe_simulator(webhook_url=balancer.url("/webhooks/stripe")) as stripe,
    ):
        env = _environment(postgres.create_database("upgrade"), redis.url("0"), openclaw, stripe)
        upgrade = Upgrade(Path(folder), env, ports, check_out(commit, Path(folder) / "former"))
        try:
            return _drill(upgrade, balancer, ports, commit, args)
        finally:
            upgrade.stop(upgrade.started)


def _environment(database: str, redis: str, openclaw: Simulator, stripe: StripeSimulator) -> dict[str, str]:
    """What every process of both versions is told."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "AGENTFORGE_ENV": "test",
        "PYTHONWARNINGS": "ignore",
        "PROXY_HOPS": "1",
        "DATABASE_URL": database,
        "REDIS_URL": redis,
        "OPENCLAW_URL": openclaw.url,
        "OPENCLAW_TOKEN": openclaw.token,
        "STRIPE_API_BASE": stripe.url,
        "STRIPE_SECRET_KEY": stripe.secret_key,
        "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
        "STRIPE_LIVEMODE": "false",
    }


def _drill(upgrade: Upgrade, balancer: Balancer, ports: tuple[int, int], commit: str, args: argparse.Namespace) -> int:
    database = upgrade.old[0].env["DATABASE_URL"]
    before = upgrade.migrate(upgrade.former)
    say(f"The former version, {commit[:12]}, is at revision {before}.")
    balancer.leave_out(ports[1])
    upgrade.start(upgrade.old)
    connect(database)
    users = make_users(balancer.url(), args.users)
    clients = Clients(users)
    try:
        time.sleep(args.seconds)
        begun, at = time.monotonic(), len(clients.seen.seconds)
        after = upgrade.migrate(ROOT)
        migrated = time.monotonic() - begun
        meanwhile = max(clients.seen.seconds[at:], default=0.0)
        say(f"Migrated to {after} in {migrated:.1f} s; the former version still serves everybody.")
        _hand_over(upgrade, balancer, ports[0], users[0][0], args.seconds)
    finally:
        clients.stop()
    return _print(database, clients, f"{before} to {after}", migrated, meanwhile)


def _hand_over(upgrade: Upgrade, balancer: Balancer, old_port: int, app: AppClient, seconds: float) -> None:
    """Let the former version serve alone, then both, then this one; `app` tells its story to each."""
    story(app)
    time.sleep(seconds)
    upgrade.start(upgrade.new)
    balancer.leave_out()
    say("Both versions serve, on the new schema.")
    for _ in range(3):
        story(app)
    time.sleep(seconds)
    balancer.leave_out(old_port)
    time.sleep(1)
    upgrade.stop(upgrade.old)
    say("Only this version serves.")
    story(app)


def _print(database: str, clients: Clients, revisions: str, migrated: float, meanwhile: float) -> int:
    deadline = time.monotonic() + STORY_SECONDS
    while unfinished(database) and time.monotonic() < deadline:
        time.sleep(0.2)
    ended = {str(row[0]) for row in query(database, "SELECT id FROM workflow_executions WHERE status = 'success'")}
    seen, problems = clients.seen, wrongs(database)
    lost = [run for run in seen.runs if run not in ended]
    rows = [
        ("revisions", revisions),
        ("seconds of the migration", f"{migrated:.1f}"),
        ("slowest request meanwhile, seconds", f"{meanwhile:.2f}"),
        ("requests", len(seen.seconds)),
        ("failed requests", f"{len(seen.failures)} {sorted(set(seen.failures)) or ''}"),
        ("runs", len(seen.runs)),
        ("lost runs", len(lost)),
        ("violated invariants", f"{len(problems)} {problems[:3] or ''}"),
    ]
    print()
    for name, value in rows:
        print(f"{name:46}{value}")
    return 1 if seen.failures or lost or problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make upgrade-drill", description=__doc__)
    parser.add_argument("--former", default="", help="the commit of the former version, such as a release's tag")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load in each state")
    parser.add_argument("--users", type=int, default=4)
    return parse(parser, {"seconds": 3.0, "users": 2})


if __name__ == "__main__":
    sys.exit(main())
