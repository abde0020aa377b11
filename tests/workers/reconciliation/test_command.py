"""The operators' command: what it prints, what it leaves behind, and its status."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.db import session_scope
from models.services.rows import named_leases
from models.tables import PurchaseStatus
from tasks.reconciliation import main
from tests.support.stripe.books import Books

ROOT = Path(__file__).parents[3]


@pytest.fixture
def start(books: Books, committed_database: str):
    """Starts the command as an operator does."""

    def start(*arguments: str, key: str = "") -> subprocess.Popen[str]:
        env = {
            "PATH": "/usr/bin",
            "AGENTFORGE_ENV": "test",
            "DATABASE_URL": committed_database,
            "STRIPE_SECRET_KEY": key or books.stripe.secret_key,
            "STRIPE_API_BASE": books.stripe.url,
        }
        command = [sys.executable, "-m", "tasks.reconciliation", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=ROOT, env=env, text=True, **pipes)

    return start


@pytest.fixture
def reconcile(start):
    """Runs it to its end."""

    def run(*arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
        started = start(*arguments, key=key)
        said, complained = started.communicate(timeout=120)
        return subprocess.CompletedProcess(started.args, started.returncode, said, complained)

    return run


def test_a_dry_run_says_what_it_would_repair_and_then_it_is_repaired(books: Books, reconcile):
    purchase = books.shop.buys(books.shop.user())
    books.stripe.pay_intent(purchase.payment_intent_id)
    trial = reconcile("--since", "2026-11-01", "--dry-run", "--only", "purchases")
    assert trial.returncode == 0, trial.stderr
    assert f"payments {purchase.payment_intent_id} different (repairable)" in trial.stdout
    assert "1 compared, 1 would be repaired" in trial.stdout
    assert books.shop.fresh(purchase).status is PurchaseStatus.PENDING
    actual = reconcile("--since", "2026-11-01")
    assert actual.returncode == 0, actual.stderr
    assert "objects: done since 2026-11-01 00:00 UTC" in actual.stdout
    assert books.shop.fresh(purchase).status is PurchaseStatus.SUCCEEDED


def test_a_wrong_key_ends_with_status_1_and_is_not_printed(reconcile):
    refused = reconcile("--only", "purchases", key="sk_test_wrong_key_of_somebody")
    assert refused.returncode == 1
    assert "incomplete" in refused.stdout
    assert "sk_test_wrong" not in refused.stdout + refused.stderr


def test_what_it_does_not_understand_it_refuses():
    with pytest.raises(SystemExit, match="2"):
        main(["--since", "yesterday"])


class TestBesideAnotherRun:
    def hold(self, seconds: float) -> None:
        """Leave the lease of a run whose process was killed, which is not renewed."""
        with session_scope() as session:
            assert named_leases.acquire(session, "reconciliation:purchases", "killed", seconds=seconds)

    def test_it_waits_until_the_lease_of_a_run_that_died_ends(self, books: Books, start):
        user = books.shop.user()
        books.stripe.pay_intent(books.shop.buys(user).payment_intent_id)
        self.hold(600)
        started = start("--only", "purchases")
        said = started.stdout.readline()
        assert said == "purchases: another run is under way; waiting for it, at most 900 seconds.\n"
        with session_scope() as session:
            assert named_leases.renew(session, "reconciliation:purchases", "killed", seconds=0)
        said, complained = started.communicate(timeout=60)
        assert started.returncode == 0, complained
        assert books.shop.credits(user) == 100

    def test_it_says_so_when_the_other_one_takes_longer_than_it_may_wait(self, books: Books, reconcile):
        self.hold(60)
        left = reconcile("--only", "purchases", "--wait", "1")
        assert left.returncode == 1
        assert "another run is still under way" in left.stdout


def test_a_manual_run_receives_the_youngest_events_too(books: Books, reconcile):
    user = books.shop.user()
    books.stripe.pay_intent(books.shop.buys(user).payment_intent_id)
    first, second = reconcile(), reconcile()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "never arrived" in first.stdout
    assert "payments" not in first.stdout  # the event has brought it already
    assert [line.split(", ")[1] for line in second.stdout.splitlines()] == ["0 repaired"] * 3
    assert books.shop.credits(user) == 100
