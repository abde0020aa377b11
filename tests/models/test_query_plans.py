"""Every query finds its rows without reading many others, however many there are."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.db import SessionFactory, connect, session_scope
from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import Tier
from models.rules.values.periods import TimeRange
from models.services.accounts import administration
from models.services.credits import api_calls, ledger, storage
from models.services.executions import executions, receipts, retention, run_feed
from models.services.operations import analytics, audit, backlog, pruning, worker_heartbeats
from models.services.orchestration import deadlines, execution_tree, leases, redelivery, result_reuse
from models.services.schedules import due_times, schedules
from models.services.steps import steps
from models.services.stripe import stripe_status
from models.services.workflows import workflow_metrics, workflows
from models.tables import Execution, User, Workflow
from tests.support import factories
from tests.support.database.statements import recorded_statements

RUNS = 20_000
PARKED = 10_000  # runs that wait for a moment or for somebody
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DEAREST = 350  # of the planner's units; reading a table of this size, or all of a user's rows, costs several times that

_FILL = """
    WITH many AS (
        INSERT INTO users (email, name, password_hash)
        SELECT i || '@many.example', 'Many', 'none' FROM generate_series(1, :runs) i RETURNING id)
    INSERT INTO credits (user_id) SELECT id FROM many;
    INSERT INTO workflow_executions (user_id, workflow_id, version_id, workflow_name, status, priority, price_list,
                                     credits_cap, nodes_total, created_at, finished_at, error, tags)
    SELECT :user, :workflow, :version, 'Many', CASE WHEN i % 500 = 0 THEN 'failed' ELSE 'success' END, 'low', 'test', 1,
           2, now() - make_interval(secs => i), now() - make_interval(mins => i),
           CASE WHEN i % 5 = 0 THEN '{"message": "The time is over."}'::jsonb END,
           CASE WHEN i % 3 = 0 THEN '["nightly"]'::jsonb END
      FROM generate_series(1, :runs) i;
    INSERT INTO credit_holds (execution_id, user_id, amount, captured, status, settled_at)
    SELECT id, user_id, 1, 0, 'released', now() FROM workflow_executions;
    INSERT INTO workflow_executions (user_id, workflow_id, version_id, workflow_name, status, priority, price_list,
                                     credits_cap, nodes_total, created_at, started_at, deadline_at, epoch, wake_at,
                                     waiting_for, parent_execution_id, parent_node_id, parent_path,
                                     parent_attempt, depth)
    SELECT :user, :workflow, :version, 'Parked', 'waiting', 'low', 'test', 1, 2, now() - make_interval(secs => i),
           now(), now() + interval '30 days', 1, CASE WHEN i % 2 = 0 THEN now() + make_interval(days => i % 30 + 1) END,
           '{"type": "timer", "types": ["timer"]}', gen_random_uuid(), 'start', '', 1, 1
      FROM generate_series(1, :parked) i;
    INSERT INTO node_executions (execution_id, node_id, status) SELECT id, 'start', 'success' FROM workflow_executions;
    INSERT INTO api_calls (execution_id, node_id, path, user_id, at)
    SELECT id, 'start', '', user_id, created_at - interval '32 days' FROM workflow_executions;
    INSERT INTO execution_events (execution_id, seq, type, message)
    SELECT id, 1, 'execution.queued', 'Queued.' FROM workflow_executions;
    INSERT INTO credit_transactions (user_id, version, key, type, amount, balance_after, reason, source)
    SELECT :user, i, 'fill:' || i, 'credit', 1, i, 'Many', 'test' FROM generate_series(2, :runs) i;
    INSERT INTO receipts (execution_id, user_id, workflow_id, workflow_name, status, nodes_executed, credits_charged,
                          created_at, finished_at, document)
    SELECT gen_random_uuid(), :user, :workflow, 'Many', 'success', 2, 1, now() - make_interval(days => 8, mins => i),
           now() - interval '8 days', '{}' FROM generate_series(1, :runs) i;
    INSERT INTO stripe_events (id, type, created, livemode, raw, status, handled_at)
    SELECT 'evt_' || i, 'test', now(), false, '{}', 'done', now() - make_interval(mins => i)
      FROM generate_series(1, :runs) i;
    INSERT INTO notifications (user_id, kind, channel, payload, key, status, sent_at, created_at)
    SELECT :user, 'purchase', 'email', '{"n": 1}', 'fill:' || i, 'sent', now(), now() - make_interval(mins => i)
      FROM generate_series(1, :runs) i;
    INSERT INTO audit_log (action, created_at) SELECT 'auth.login', now() - make_interval(mins => i)
      FROM generate_series(1, :runs) i;
    INSERT INTO reconciliation_runs (kind, since) VALUES ('events', now());
    INSERT INTO reconciliation_findings (run_id, "check", subject, problem, action, detail, created_at)
    SELECT id, 'events', 'evt_' || i, 'missing', 'repaired', 'It was.', now() - make_interval(mins => i)
      FROM reconciliation_runs, generate_series(1, :runs) i;
    INSERT INTO workflows (user_id, name, deleted_at) SELECT :user, 'Many', now() FROM generate_series(1, :runs) i;
    INSERT INTO workflow_schedules (user_id, workflow_id, cron, time_zone, next_run_at, created_at)
    SELECT users.id, workflows.id, '0 7 * * *', 'UTC', now() + make_interval(mins => i),
           now() - make_interval(mins => i)
      FROM generate_series(1, 10) i, (SELECT id FROM users LIMIT 2000) users,
           (SELECT id FROM workflows WHERE deleted_at IS NULL LIMIT 1) workflows;
    INSERT INTO workflow_versions (workflow_id, number, name, graph, node_count)
    SELECT id, 2, name, '{"nodes": []}', 0 FROM workflows;
"""


class Crowd:
    """A database with many runs of one user, and a few rows to ask for."""

    def __init__(self) -> None:
        with session_scope() as session:
            self.user: User = factories.user(session, tier=Tier.ENTERPRISE)  # which may park so many
            self.workflow: Workflow = factories.workflow(session, self.user)
            values = {"user": self.user.id, "workflow": self.workflow.id, "runs": RUNS, "parked": PARKED}
            session.execute(text(_FILL), values | {"version": self.workflow.latest.id})
            self.queued: Execution = factories.execution(session, self.workflow)
            waits = {"status": ExecutionStatus.WAITING, "waiting_for": {"message": "Waits.", "types": ["subworkflow"]}}
            self.parent: Execution = factories.execution(session, self.workflow, **waits)
            self.driven: Execution = factories.execution(session, self.workflow, epoch=1)
            self.rare: Workflow = factories.workflow(session, self.user)
            unheard = {"error": {"message": "Of an unheard kind."}, "tags": ["rare"]}
            factories.execution(session, self.rare, status=ExecutionStatus.FAILED, created_at=LONG_AGO, **unheard)
            self.other: User = factories.user(session)
        with session_scope() as session:
            session.connection().exec_driver_sql("ANALYZE")


def left_by(session: Session, run: Execution) -> result_reuse.ReusableResults:
    return result_reuse.reusable_results(session, run.id, was=run.version_id, version=run.version_id)


QUERIES: dict[str, Callable[[Session, Crowd], Any]] = {
    "all runs": lambda s, c: executions.list_owned(s, c.user),
    "runs after a row": lambda s, c: executions.list_owned(s, c.user, after=(datetime.now(UTC), UUID(int=0))),
    "failed runs": lambda s, c: executions.list_owned(s, c.user, status=ExecutionStatus.FAILED),
    "runs of a workflow": lambda s, c: executions.list_owned(s, c.user, workflow_id=c.workflow.id),
    "failed runs of a workflow": lambda s, c: executions.list_owned(
        s, c.user, workflow_id=c.workflow.id, status=ExecutionStatus.FAILED
    ),
    "runs of a workflow that ran long ago": lambda s, c: executions.list_owned(s, c.user, workflow_id=c.rare.id),
    "runs with a rare word": lambda s, c: executions.list_owned(s, c.user, query="unheard"),
    "runs with a common word": lambda s, c: executions.list_owned(s, c.user, query="time"),
    "runs whose workflow is called so": lambda s, c: executions.list_owned(s, c.user, query="rare"),
    "runs without a word": lambda s, c: executions.list_owned(s, c.user, query="nothing of the kind"),
    "runs with a rare tag": lambda s, c: executions.list_owned(s, c.user, tag="rare"),
    "runs with a common tag": lambda s, c: executions.list_owned(s, c.user, tag="nightly"),
    "another user's runs with a common word": lambda s, c: executions.list_owned(s, c.other, query="time"),
    "runs of an hour long ago": lambda s, c: executions.list_owned(s, c.user, until=LONG_AGO),
    "a feed of runs": lambda s, c: run_feed.runs(s, c.user, known=[c.driven.id], since=LONG_AGO),
    "versions of a feed": lambda s, c: run_feed.versions(s, [c.user.id, c.queued.id]),
    "steps of a run": lambda s, c: steps.list_of(s, c.user, c.queued.id, after=("a", "")),
    "runs by id": lambda s, c: executions.list_owned(s, c.user, ids=[c.queued.id, c.user.id]),
    "one run": lambda s, c: executions.get(s, c.user, c.queued.id),
    "a look at a run": lambda s, c: executions.get_snapshot(s, c.user, c.queued.id),
    "why it does not move": lambda s, c: executions.wait_status(s, c.queued),
    "why a parent does not move": lambda s, c: executions.wait_status(s, c.parent),
    "what waits in the queues": lambda s, c: backlog.by_queue(s),
    "who drives what": lambda s, c: worker_heartbeats.driven(s),
    "its nodes": lambda s, c: executions.node_states(s, c.driven),
    "its receipt": lambda s, c: executions.receipt(s, c.driven),
    "the lines of its receipt": lambda s, c: executions.lines(s, c.queued),
    "how its workflow does": lambda s, c: workflow_metrics.metrics(s, c.user, c.rare.id, TimeRange.MONTH),
    "its log": lambda s, c: executions.logs(s, c.user, c.queued.id),
    "a submission": lambda s, c: executions.submit(s, c.user, c.workflow.id),
    "a claim": lambda s, c: leases.claim(s, c.queued.id, owner="a worker", seconds=30),
    "a call": lambda s, c: api_calls.reserve(s, c.user.id, c.queued.id, "start", ""),
    "the calls of this month": lambda s, c: api_calls.used(s, c.user.id, Tier.FREE),
    "runs that wait for calls": lambda s, c: api_calls.wake(s),
    "room for more": lambda s, c: storage.require_room(s, c.user),
    "what has served its time": lambda s, c: pruning.prune(s, 1),
    "runs of deleted workflows": lambda s, c: retention.hasten(s, limit=1),
    "old runs": lambda s, c: retention.expire(s, limit=1),
    "what is left of old runs": lambda s, c: (retention.expire(s, limit=1), retention.clear(s, rows=100)),
    "a run that is gone": lambda s, c: receipts.kept(s, c.user.id, c.user.id),
    "an administrator's users": lambda s, c: administration.users(s, limit=50),
    "everybody's transactions": lambda s, c: administration.transactions(s),
    "the audit log": lambda s, c: audit.entries(s, subject=c.user.id),
    "a past day": lambda s, c: analytics.daily(s, LONG_AGO.date(), LONG_AGO.date()),
    "how stripe is": lambda s, c: stripe_status.stripe_status(s),
    "a cancel": lambda s, c: executions.request_cancel(s, c.user, c.queued.id),
    "a settlement": lambda s, c: ledger.settle(s, c.queued.id, c.queued.credits_charged),
    "what a retry takes over": lambda s, c: list(result_reuse.reusable_results_below(s, left_by(s, c.queued))),
    "a sweep": lambda s, c: redelivery.stalled(s),
    "turns that nobody rang for": lambda s, c: redelivery.unclaimed_slots(s),
    "who follows a run": lambda s, c: redelivery._NEXT_AFTER.rows(s, {"id": c.queued.id}),
    "the children of a run": lambda s, c: executions.list_owned(s, c.user, parent_execution_id=c.queued.id),
    "a family's locks": lambda s, c: execution_tree.lock(s, [c.queued.id], ending=[c.queued.id]),
    "the end of a parent": lambda s, c: execution_tree.ended(s, [c.queued.id]),
    "the end of a child": lambda s, c: execution_tree.stop(s, [c.queued.id]),
    "runs of a schedule": lambda s, c: executions.list_owned(s, c.user, schedule_id=c.user.id),
    "schedules that are due": lambda s, c: due_times.due(s, limit=50, after=(LONG_AGO, c.user.id)),
    "how late schedules are": lambda s, c: due_times.oldest_overdue_seconds(s),
    "all schedules": lambda s, c: schedules.list_owned(s, c.user),
    "schedules of a workflow": lambda s, c: schedules.list_of_workflow(s, c.user, c.workflow.id),
    "what is overdue": lambda s, c: deadlines.late(s),
    "the end of what is overdue": lambda s, c: deadlines.end(s, c.queued.id),
    "the history of credits": lambda s, c: ledger.history(s, c.user.id),
    "all workflows": lambda s, c: workflows.list_owned(s, c.user),
    "one workflow": lambda s, c: workflows.get(s, c.user, c.workflow.id),
    "a change of a workflow": lambda s, c: workflows.update(s, c.user, c.workflow.id, name="Renamed"),
}


@pytest.fixture(scope="module")
def crowd(postgres: Any, template_database: str) -> Iterator[Crowd]:
    """Made once for this module, because filling it takes a second or two."""
    engine = connect(postgres.create_database("crowd", template=template_database))
    yield Crowd()
    SessionFactory.configure(bind=None)
    engine.dispose()
    postgres.drop_database("crowd")


@pytest.mark.parametrize("name", QUERIES)
def test_reads_little_for(crowd: Crowd, name: str) -> None:
    with SessionFactory() as session:
        with recorded_statements() as statements:
            QUERIES[name](session, crowd)
        session.rollback()
        plans = [explain(session, *statement) for statement in statements]
    assert plans
    for plan in plans:
        costs = re.search(r"cost=[\d.]+\.\.([\d.]+)", plan)
        assert costs, plan
        recursive = plan.count("Recursive Union")  # each of which the planner takes for ten rounds of ten rows each
        assert float(costs[1]) < DEAREST * (4 * recursive or 1), plan
        assert not (recursive and "Seq Scan" in plan), plan


def explain(session: Session, statement: str, parameters: Any) -> str:
    rows = session.connection().exec_driver_sql(f"EXPLAIN {statement}", parameters)
    return "\n".join(row[0] for row in rows)
