"""`make restore-drill`: lose the database at a random moment under load, and recover it on a new server.

Real processes, pgBackRest and the operators' scripts (docs/recovery.md). Afterwards Stripe is reconciled and the drift
counted. The exit status is 1 when more was lost, or it took longer, than is promised, or anything differs from Stripe.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.arguments import parse
from bench.drills.archived_postgres import ROOT, ArchivedPostgres, Repository, programs
from bench.drills.load import Load
from bench.drills.progress import Clock, say
from bench.soak.drift import Drift, measure, query, unfinished, unsettled
from bench.soak.traffic import make_users
from bench.soak.trouble import BILLING, Stripe, workers
from devstack import control
from devstack.app_client import AppClient
from devstack.processes.process import DevstackError
from devstack.servers.ports import LOOPBACK, free_port
from devstack.stack import DATABASE
from models.db import connect
from simulators.stripe import running_stripe_simulator

PROMISED_LOSS_SECONDS, PROMISED_SECONDS = 15 * 60, 60 * 60
SETTLE_SECONDS = 120
FIRST_RUN = "the first run has ended"


class Drill:
    """A stack on a database that is archived, and everything around it that survives the database."""

    def __init__(self, directory: Path, stripe: str, secrets: Mapping[str, str], port: int) -> None:
        self.stack = directory / "stack"
        self.repository = Repository(directory / "repository")
        self.old = ArchivedPostgres(directory / "old", self.repository)
        self.new = ArchivedPostgres(directory / "new", self.repository)
        self.stripe = Stripe(stripe)
        self._env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._env |= {"PORT": str(port), "FLOWER_PORT": "0", "METRICS_PORT": "0", "STRIPE_API_BASE": stripe}
        self._env |= {"LEASE_SECONDS": "4", "HEARTBEAT_SECONDS": "1"} | secrets

    def begin(self, users: int) -> list[tuple[AppClient, str]]:
        """Start the service on the old server, make users, and take the first backup."""
        self.old.start()
        self.old.create_database(DATABASE)
        stack = self._up(self.old)
        connect(self.old.url(DATABASE))
        made = make_users(stack.addresses["api"], users)
        roles = (ROOT / "deploy/roles.sql").read_text()
        query(self.old.url(DATABASE), f"{roles}; SELECT 1")
        backup = self.old.script("backup.sh", database=DATABASE).strip()
        say(f"Backup {backup} is complete, encrypted and verified; the log is archived from now on.")
        return made

    def recover(self, target: str, clock: Clock) -> datetime:
        """Bring the service back on a new server; return the moment up to which the database was recovered."""
        control.stop(self.stack)
        clock.done("beat, workers and API are stopped")
        self.new.take_password_of(self.old)
        self.new.script("restore.sh", target, database=DATABASE)
        clock.done("the backup is on the new server")
        self.new.start()
        told = self.new.script("restore.sh", "finish", database=DATABASE)
        clock.done("PostgreSQL has recovered")
        shutil.rmtree(self.stack / "redis", ignore_errors=True)
        self._up(self.new)
        clock.done("the service is up, with an empty Redis")
        return datetime.fromisoformat(told.strip().removeprefix("recovered to "))

    def reconcile(self, since: datetime) -> int:
        """Run the operators' command with the environment of a worker; return the number of repairs."""
        env = workers(control.await_ready(self.stack).pid, BILLING)[0].environ()
        command = [sys.executable, "-m", "tasks.reconciliation", "--since", (since - timedelta(minutes=5)).isoformat()]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DevstackError(f"The reconciliation failed: {(done.stdout + done.stderr)[-2000:]}")
        return sum(int(number) for number in re.findall(r"(\d+) repaired", done.stdout))

    def settle(self) -> None:
        """Wait until nothing is in progress at the new server."""
        self.stripe("wait_for_webhooks", timeout=50)
        database, deadline = self.new.url(DATABASE), time.monotonic() + SETTLE_SECONDS
        while (unsettled(database) or unfinished(database)) and time.monotonic() < deadline:
            time.sleep(0.5)

    def drift(self) -> Drift:
        """Compare the new server with Stripe."""
        of_stripe = (self.stripe("objects", kind=kind) for kind in ("payment_intent", "refund"))
        return measure(self.new.url(DATABASE), *of_stripe)

    def end(self) -> None:
        """Stop everything, however far it came."""
        with suppress(DevstackError):
            control.stop(self.stack)
        for server in (self.old, self.new):
            server.stop()

    def _up(self, server: ArchivedPostgres) -> control.RunningStack:
        return control.ensure_up(self.stack, self._env | {"DATABASE_URL": server.url(DATABASE)})


def main() -> int:
    """Run the drill and print its figures."""
    args = _arguments()
    try:
        programs()
    except DevstackError as error:
        say(f"Skipped: {error}")
        return 0
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="agentforge-drill-", ignore_cleanup_errors=True) as folder,
        running_stripe_simulator(webhook_url=f"http://{LOOPBACK}:{port}/webhooks/stripe") as stripe,
    ):
        Path(folder).chmod(0o755)  # PostgreSQL's account looks into it
        secrets = {"STRIPE_SECRET_KEY": stripe.secret_key, "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret}
        drill = Drill(Path(folder), stripe.url, secrets, port)
        try:
            return _drill(drill, args)
        finally:
            drill.end()


def _drill(drill: Drill, args: argparse.Namespace) -> int:
    users = drill.begin(args.users)
    with Load(users, pause=args.pause) as load:
        seconds = random.Random(args.seed).uniform(0.4, 1) * args.seconds
        say(f"{args.users} users buy credits and run workflows; the database is lost in {seconds:.0f} s.")
        time.sleep(seconds)
        clock = Clock()
        drill.old.destroy()
    say("kill -9 of PostgreSQL; its data directory is deleted.")
    back = datetime.fromtimestamp(clock.begun - args.back, UTC)
    point = drill.recover(back.isoformat(" ") if args.back else "latest", clock)
    _await_run(drill, users[0], point)
    clock.done(FIRST_RUN)
    repaired = drill.reconcile(point)
    clock.done(f"Stripe is reconciled: {repaired} repairs")
    drill.settle()
    again, drift = drill.reconcile(point), drill.drift()
    lost = clock.begun - point.timestamp()
    _print(drill, load, lost, clock, again, drift)
    kept = lost <= PROMISED_LOSS_SECONDS and clock.steps[FIRST_RUN] <= PROMISED_SECONDS
    return 0 if kept and drift.total == again == 0 else 1


def _await_run(drill: Drill, user: tuple[AppClient, str], point: datetime) -> None:
    """Wait until a run ends, one of before or a new one of this user."""
    app, workflow_id = user
    app.execute(workflow_id, None)
    ended = "SELECT count(*) FROM workflow_executions WHERE finished_at > %s"
    deadline = time.monotonic() + SETTLE_SECONDS
    while not query(drill.new.url(DATABASE), ended, (point,))[0][0]:
        if time.monotonic() > deadline:
            raise DevstackError("No run goes on.")
        time.sleep(0.05)


def _print(drill: Drill, load: Load, lost: float, clock: Clock, again: int, drift: Drift) -> None:
    database = drill.new.url(DATABASE)
    known = {
        "run": {str(row[0]) for row in query(database, "SELECT id FROM workflow_executions")},
        "purchase": {str(row[0]) for row in query(database, "SELECT id FROM purchases WHERE status = 'succeeded'")},
    }
    gone = {kind: [one for one in load.ids(kind) if one not in ids] for kind, ids in known.items()}
    point, begun = (datetime.fromtimestamp(clock.begun - ago, UTC) for ago in (lost, 0))
    first = clock.steps[FIRST_RUN]
    role = query(database, "SELECT count(*) FROM pg_roles WHERE rolname = 'agentforge_app'")[0][0]
    rows = [
        ("acknowledged before the disaster", f"{len(load.ids('run'))} runs, {len(load.ids('purchase'))} purchases"),
        ("data lost", f"{lost:.1f} s (promised: at most {PROMISED_LOSS_SECONDS})"),
        (
            "until the first run went on",
            f"{first:.1f} s (promised: at most {PROMISED_SECONDS})",
        ),
        ("runs lost, with their charges", len(gone["run"])),
        ("purchases gone, none of them charged", len(gone["purchase"])),
        ("repaired by a second reconciliation", again),
        ("drift between the ledger and Stripe", drift.total),
        ("the role of the processes exists", "yes" if role else "no"),
    ]
    print()
    for name, value in rows:
        print(f"{name:46}{value}")
    print(f"""
To tell users: "What you did between {point:%H:%M:%S} and {begun:%H:%M:%S} UTC is lost:
changes of accounts, keys and workflows, and runs, which were not charged. What such a run did elsewhere, like
mails that it sent, remains. What Stripe charged is complete; a purchase of that time that is missing was not
charged.\"""")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make restore-drill", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="at most this long after the backup it is lost")
    parser.add_argument("--back", type=float, default=0.0, help="recover as it was so many seconds before, not all")
    parser.add_argument("--users", type=int, default=6)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two requests of a user")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    return parse(parser, {"seconds": 20.0, "users": 3})


if __name__ == "__main__":
    sys.exit(main())
