"""For every failure, give-up and death: a run costs at most its quoted price, and sent calls are charged."""

from collections import defaultdict
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack import run_audit
from models.db import session_scope
from models.rules.graph.graph import parse
from models.rules.lint.estimate import worst_case
from models.rules.nodes import KINDS
from models.services.executions import executions
from tests.support.engine.bench import Bench, call, cancel, connect_all, sub, transform
from tests.support.factories import node
from tests.support.thorough import examples
from tests.workers.engine.driver.test_recovery import die
from workers.gateways.base import CallFailed

NODE = Decimal("0.10")
OWN = {"ok", "http_400", "timeout", "cancel"}  # the workflow's own doing, or given up after it was sent
BROKEN = {"http_503", "connection_lost"}
OUTCOMES = st.sampled_from(sorted(OWN | BROKEN | {"crash", "unsent"}))
SOON = {"maxAttempts": 2, "initialInterval": 0}


class Script:
    """The outcome of each request in turn, and a record of the requests."""

    def __init__(self, bench: Bench, outcomes: dict[str, list[str]]) -> None:
        self.bench = bench
        self.left = outcomes
        self.sent: dict[tuple[UUID, str, str], list[str]] = defaultdict(list)
        self.requests: set[tuple[UUID, str, str, int]] = set()  # a repeat after a crash is the same one
        for name in outcomes:
            bench.world.on(name, self.perform)

    def perform(self, effect: Any, attempt: Any) -> Any:
        """Do as the next word of this node says."""
        left = self.left[attempt.step.node_id]
        word = left.pop(0) if left else "ok"
        self.sent[attempt.execution_id, attempt.step.node_id, attempt.step.path].append(word)
        if word != "unsent":
            self.requests.add((attempt.execution_id, attempt.step.node_id, attempt.step.path, attempt.number))
        if word == "crash":
            die(self.bench, attempt.execution_id)
            return "nobody hears this"
        if word == "cancel":
            cancel(self.bench, self.top)
            return self.bench.world.hang(effect, attempt)
        if word != "ok":
            code = "connect_failed" if word == "unsent" else word
            raise CallFailed(code, "As it was written.", retryable=word in BROKEN | {"timeout"}, sent=word != "unsent")
        return word

    def drive(self, top: UUID) -> None:
        """Until nothing is left to do: a driver that lost its run has a follower."""
        self.top = top
        for _ in range(40):
            self.bench.settle(top)
            unfinished = "SELECT id FROM workflow_executions WHERE status IN ('running', 'cancelling') LIMIT 1"
            if (run := self.bench.sql(unfinished)) is None:
                break
            self.bench.settle(run)


def quoted(nodes: list[Any], *pairs: str) -> Decimal:
    return worst_case(parse({"nodes": nodes, "connections": connect_all(*pairs)}), KINDS)


def check_rows(bench: Bench, script: Script, run: UUID) -> None:
    """Each node of a run pays for what it set going, and for nothing that others broke."""
    for row in bench.nodes(run).values():
        words = [word for word in script.sent[run, row.node_id, row.path] if word not in ("crash", "unsent")]
        assert row.credits in (0, NODE)
        assert row.credits_due == 0 or row.status in ("running", "waiting", "pending")
        if OWN & set(words):
            assert row.credits == NODE, (row.node_id, row.path, row.status, words)
        elif words and row.status == "failed":
            assert row.credits == 0, (row.node_id, row.path, words)


def check_receipt(bench: Bench, run: Any) -> None:
    """The receipt, the ledger and the run's charge agree."""
    with session_scope() as session:
        receipt = executions.receipt(session, run)
    debit = "SELECT coalesce(sum(amount), 0) FROM credit_transactions WHERE execution_id = :id AND type = 'debit'"
    items = sum((item["amount"] for item in receipt["items"]), Decimal(0))
    assert items + receipt["runFee"] == receipt["total"] == run.credits_charged == bench.sql(debit, id=run.id)
    began = any(row.status != "skipped" for row in bench.nodes(run.id).values())
    assert receipt["runFee"] == int(began)


@pytest.fixture
def clean(bench: Bench) -> Bench:
    bench.sql("UPDATE users SET subscription_tier = 'enterprise' WHERE id = :id", id=bench.user_id)
    return bench


@pytest.mark.thorough
@settings(
    max_examples=examples(40),
    derandomize=True,
)
@given(data=st.data())
def test_what_was_sent_is_paid_for_and_never_more_than_was_quoted(clean: Bench, committed_database: str, data: Any):
    bench = clean
    policy = st.sampled_from(["fail", "continue"])
    names = ("a", "b", "c", "in_child", "in_loop")
    script = Script(bench, {name: data.draw(st.lists(OUTCOMES, max_size=3), label=name) for name in names})
    child = [call("in_child", retry=SOON), transform("t", data.draw(st.sampled_from(["1", "1 / 0"])))]
    inner = bench.save(child, worst_case=quoted(child))
    items = list(range(data.draw(st.integers(1, 3))))
    nodes = [
        call("a", retry=SOON, onError=data.draw(policy)),
        call("b", onError="continue"),
        sub("s", inner, onError=data.draw(policy)),
        node("each", "loop", config={"items": items, "concurrency": data.draw(st.integers(1, 2))}),
        call("in_loop", parentId="each", retry=SOON, onError=data.draw(policy)),
        call("c"),
    ]
    pairs = data.draw(st.lists(st.sampled_from(["a>s", "a>c", "b>each", "s>c", "each>c"]), unique=True))
    cap = quoted(nodes, *pairs) + quoted(child)
    bench.world.release.clear()
    top = bench.submit(nodes, *pairs, cap=cap)
    script.drive(top)
    runs = [bench.execution(top), *bench.children(top)]
    assert {run.status for run in runs} <= {"success", "failed", "cancelled"}, [run.waiting_for for run in runs]
    assert sum(run.credits_charged for run in runs) <= cap
    for run in runs:
        check_rows(bench, script, run.id)
        check_receipt(bench, run)
    assert run_audit.wrongs(committed_database) == []
    counted = bench.sql(
        "SELECT coalesce(sum(requests), 0) FROM api_calls WHERE execution_id = ANY(:ids)", ids=[run.id for run in runs]
    )
    assert counted >= len(script.requests)


def test_the_receipt_says_why_a_node_is_charged_that_did_not_succeed(bench: Bench):
    """Ninety requests to a server that answers 400, and one that is given up: none of them is free."""

    def refuse(*_: Any) -> None:
        raise CallFailed("http_400", "No.")

    bench.world.on("bad", refuse)
    bench.world.on("slow", bench.world.hang)
    each = node("each", "loop", config={"items": list(range(90))})
    nodes = [each, call("bad", parentId="each", onError="continue"), call("slow")]
    run_id = bench.submit(nodes, "each>slow", cap=20)
    left = bench.in_background(run_id)
    assert bench.world.arrived.wait(20)
    cancel(bench, run_id)
    left()
    run = bench.execution(run_id)
    assert (run.status, run.credits_charged) == ("cancelled", Decimal("10.20"))
    counted = bench.sql("SELECT sum(requests) FROM api_calls WHERE execution_id = :id", id=run_id)
    assert counted == bench.world.calls.total() == 91
    with session_scope() as session:
        lines = executions.lines(session, run, limit=200)
    told = {(line.node_id, line.status): line.reason for line in lines}
    assert "http_400" in told["bad", "failed"]
    assert told["slow", "cancelled"] == "It was cancelled after its request was sent."
    assert sum(line.price for line in lines) + 1 == run.credits_charged
