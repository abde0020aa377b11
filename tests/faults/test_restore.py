"""A restore drill: a backup fifteen minutes old is restored by the operators' scripts, then Stripe is reconciled."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from devstack import control
from devstack.app_client import AppClient, AppClientError
from devstack.run_audit import query, wrongs
from devstack.servers.postgres import postgres_programs
from tests.support.faults.programs import ROOT, eventually, measured
from tests.support.stack.processes import command_of
from tests.support.stack.running import running_stack

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def script(name: str, *arguments: str, stack: control.RunningStack, **env: str) -> str:
    """Run one of the operators' scripts; its last line."""
    path = f"{postgres_programs()}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(ROOT / "deploy" / name), *arguments],
        env={"PATH": path, "DATABASE_URL": stack.addresses["database"], **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


def reconcile(stack: control.RunningStack) -> str:
    """The operators' command, in the environment of the stack's workers."""
    children = psutil.Process(stack.pid).children(recursive=True)
    worker = next(child for child in children if "billing,notifications,maintenance" in command_of(child.pid))
    done = subprocess.run(
        [sys.executable, "-m", "tasks.reconciliation"],
        cwd=ROOT,
        env=worker.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def buy(app: AppClient, package: str) -> None:
    app.call("POST", "/credits/purchase", {"packageId": package, "paymentMethodId": "pm_card_visa"})


def balance(app: AppClient) -> Decimal:
    return Decimal(str(app.call("GET", "/credits/balance")["balance"]))


def test_after_a_restore_stripe_fills_gaps_and_the_ledger_is_consistent(stack: control.RunningStack, tmp_path: Path):
    app = AppClient(stack.addresses["api"])
    user = app.register(f"restore-{time.monotonic_ns()}@example.com", "a long password", "Restore")
    app.verify(stack.addresses["mail"], user["email"])
    database = stack.addresses["database"]
    step = {"id": "a", "type": "process", "label": "A", "config": {"expression": "1"}}
    workflow = app.save("Before", {"nodes": [step], "connections": []})
    buy(app, "pack_100")
    eventually(lambda: balance(app) == 110)
    before = list(app.watch(app.execute(workflow["id"], None)))[-1]
    paid = balance(app)
    dump = script("backup.sh", stack=stack, BACKUP_DIR=str(tmp_path))
    buy(app, "pack_500")
    eventually(lambda: balance(app) == paid + 550)
    after = list(app.watch(app.execute(workflow["id"], None)))[-1]
    begun = time.monotonic()
    script("restore.sh", dump, stack=stack)
    eventually(lambda: answers(app), pause=0.5)
    assert balance(app) == paid
    with pytest.raises(AppClientError) as gone:
        app.call("GET", f"/executions/{after['id']}")
    assert gone.value.status == 404
    assert app.call("GET", f"/executions/{before['id']}")["status"] == "success"
    told = reconcile(stack)
    eventually(lambda: balance(app) == paid + 550, 60, lambda: told)
    measured(f"restored and reconciled after {time.monotonic() - begun:.0f} s")
    again = reconcile(stack)
    assert all(", 0 repaired" in line for line in again.splitlines() if " compared, " in line), again
    eventually(lambda: wrongs(database) == [], 30, lambda: str(wrongs(database)))
    assert query(database, "SELECT count(*) FROM purchases WHERE status = 'succeeded'") == [(2,)]
    run = list(app.watch(app.execute(workflow["id"], None)))[-1]
    assert run["status"] == "success"


def answers(app: AppClient) -> bool:
    """Connections of before are gone, and the processes have noticed."""
    try:
        app.call("GET", "/credits/balance")
    except AppClientError:
        return False
    return True


def test_backups_are_removed_when_they_are_old_and_never_by_a_failing_one(stack: control.RunningStack, tmp_path: Path):
    old, young = tmp_path / "postgres-old.dump", tmp_path / "postgres-young.dump"
    for path, days in ((old, 31), (young, 29)):
        path.write_text("a dump")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    with pytest.raises(AssertionError):
        script("backup.sh", stack=stack, BACKUP_DIR=str(tmp_path), DATABASE_URL="postgresql://127.0.0.1:1/nowhere")
    assert sorted(path.name for path in tmp_path.iterdir()) == [old.name, young.name]
    script("backup.sh", stack=stack, BACKUP_DIR=str(tmp_path))
    assert not old.exists()
    assert young.exists()
