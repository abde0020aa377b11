"""The operators' command: what it prints, what it leaves behind, and its status."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.purchase import PurchaseStatus
from tests.reconciliation.conftest import Books

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def reconcile(books: Books, shop_database: str):
    """Runs the command as an operator does."""

    def run(*arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": "/usr/bin",
            "AGENTFORGE_ENV": "test",
            "DATABASE_URL": shop_database,
            "STRIPE_SECRET_KEY": key or books.stripe.secret_key,
            "STRIPE_API_BASE": books.stripe.url,
        }
        command = [sys.executable, "-m", "tasks.reconcile", *arguments]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

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


@pytest.mark.parametrize("arguments", [("--since", "yesterday"), ("--only", "weather")])
def test_what_it_does_not_understand_it_refuses(reconcile, arguments):
    assert reconcile(*arguments).returncode == 2
