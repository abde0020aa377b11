"""Whose fault a failure is, and what it costs."""

import ast
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from models.rules.prices import charging
from models.rules.prices.charging import FAULTS, FailureFault, fault_of

ROOT = Path(__file__).parents[4]
PRICE, BASE = Decimal("3.10"), Decimal("0.10")
# Their calls are no node's: mails, messages to phones, Stripe.
OTHERS = {"mail.py", "push.py", "stripe"}


def sources() -> Iterator[Path]:
    yield from (ROOT / "workers" / "engine").rglob("*.py")
    yield from (
        path for path in (ROOT / "workers" / "gateways").rglob("*.py") if not OTHERS & {path.name, path.parent.name}
    )
    yield from (ROOT / "models" / "rules" / "nodes").glob("*.py")
    yield from (ROOT / "models" / "rules" / name for name in ("values/scope.py", "executions/deadlines.py"))
    yield from (ROOT / "models" / "services" / "workflows" / name for name in ("workflow_limits.py", "workflows.py"))
    yield ROOT / "models" / "services" / "orchestration" / "children.py"
    yield ROOT / "models" / "errors.py"


def raised(tree: ast.AST) -> Iterator[str]:
    """Codes that are written out: given to an error or a cause, kept by a class, or chosen among statuses and words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            if name in ("CallFailed", "Cause", "ChildFailed", "cls") and isinstance(first, ast.Constant):
                yield str(first.value)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "code":
            values = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
            yield from (str(value.value) for value in values if isinstance(value, ast.Constant))
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "code" and isinstance(value, ast.Constant):
                    yield str(value.value)
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "BY_STATUS":
            yield from (value.value for value in node.value.values)
        if isinstance(node, ast.keyword) and node.arg == "codes" and isinstance(node.value, ast.Dict):
            yield from (value.value for value in node.value.values if isinstance(value, ast.Constant))


# Raised where no node is: by the API, or about a lease or a wallet; or a parent waits on, and nothing fails.
NO_NODES = {
    "not_authenticated", "payment_required", "insufficient_credits", "lease_lost", "needs_more_credits",
    "iteration_failed", "workflow_limit_reached", "email_not_verified", "not_yet", "precondition_failed",
}  # fmt: skip


def test_every_code_that_a_node_can_fail_with_is_somebodys_fault():
    codes = {code for path in sources() for code in raised(ast.parse(path.read_text()))}
    assert codes >= {"timeout", "openclaw_failed", "rate_limited", "expression_failed", "worker_died", "run_timed_out"}
    assert len(codes) > 60
    unknown = {code for code in codes - NO_NODES if code not in FAULTS and not re.fullmatch(r"http_\d{3}", code)}
    assert unknown == set()


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("http_400", FailureFault.WORKFLOW),
        ("http_404", FailureFault.WORKFLOW),
        ("http_429", FailureFault.PROVIDER),
        ("http_500", FailureFault.PROVIDER),
        ("http_503", FailureFault.PROVIDER),
        ("expression_failed", FailureFault.WORKFLOW),
        ("connection_lost", FailureFault.PROVIDER),
        ("openclaw_overloaded", FailureFault.PROVIDER),
        ("worker_died", FailureFault.SERVICE),
        ("quarantined", FailureFault.SERVICE),
        ("timeout", FailureFault.STOPPED),
        ("a_code_of_tomorrow", FailureFault.SERVICE),
    ],
)
def test_each_has_one_who_made_it(code: str, fault: FailureFault):
    assert fault_of(code) is fault


@pytest.mark.parametrize(
    ("code", "sent", "owed", "credits"),
    [
        ("http_400", True, False, PRICE),
        ("expression_failed", False, False, BASE),  # it called nobody
        ("provider_key_missing", False, False, BASE),
        ("node_timed_out", True, False, PRICE),
        ("node_timed_out", False, False, 0),  # it stood in line, or waited for another try
        ("http_503", True, False, 0),
        ("http_503", True, True, PRICE),  # the attempt before took too long
        ("internal_error", True, False, 0),
    ],
)
def test_a_failed_node_costs_what_it_set_going(code: str, sent: bool, owed: bool, credits: Decimal):
    assert charging.failure(code, PRICE, BASE, sent=sent, owed=owed) == credits


def test_a_loop_fails_by_the_fault_of_the_node_inside_it():
    document = {"code": "iteration_failed", "cause": "http_503"}
    assert charging.root_code(document) == "http_503"
    assert not charging.is_ours(document)
    assert charging.is_ours({"code": "iteration_failed", "cause": "internal_error"})
    assert not charging.is_ours(None)
