"""The task that starts the runs of schedules: messages after the commit, and one failure that stops no other."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from models.services.schedules import schedules
from models.services.schedules.due_times import MAX_REFUSALS
from models.tables import Execution, User, WorkflowSchedule
from tasks import maintenance
from tasks.queue import QueueName, TaskMessage, TaskName
from tests.support import factories
from workers import metrics

LONG_AGO = datetime.now(UTC) - timedelta(hours=1)


def scheduled(session: Session, owner: User, **columns: Any) -> UUID:
    """A schedule of a new workflow that is due."""
    of = factories.workflow(session, owner)
    row = schedules.create(session, owner, of.id, cron="0 7 * * *", time_zone="UTC")
    row.next_run_at = LONG_AGO
    for name, value in columns.items():
        setattr(row, name, value)
    session.flush()
    return row.id


def counted(result: str) -> float:
    return metrics.SCHEDULED.labels(result)._value.get()


def test_a_run_is_started_enqueued_and_counted(session: Session, sent: list[TaskMessage]) -> None:
    before = counted("started")
    schedule_id = scheduled(session, factories.user(session))
    maintenance.start_scheduled()
    run = session.scalars(select(Execution)).one()
    assert run.schedule_id == schedule_id
    assert [(message.task, message.queue, message.ids) for message in sent] == [
        (TaskName.DRIVE_EXECUTION, QueueName.EXECUTIONS_LOW, {"execution_id": str(run.id)})
    ]
    maintenance.start_scheduled()
    assert (len(sent), counted("started") - before) == (1, 1)


def test_a_schedule_that_is_switched_off_sends_its_owner_a_message(session: Session, sent: list[TaskMessage]) -> None:
    scheduled(session, factories.user(session, credits=0), refusals=MAX_REFUSALS - 1)
    maintenance.start_scheduled()
    assert [message.task for message in sent] == [TaskName.SEND_NOTIFICATION]


def test_one_that_fails_is_logged_stays_due_and_stops_no_other(session: Session, sent: list[TaskMessage]) -> None:
    owner = factories.user(session)
    broken = scheduled(session, owner, next_run_at=LONG_AGO - timedelta(hours=1))
    others = [scheduled(session, owner) for _ in range(2)]
    stays = f"CHECK (schedule_id <> '{broken}')"
    session.execute(text(f"ALTER TABLE workflow_executions ADD CONSTRAINT stays {stays}"))
    with capture_logs() as logs:
        maintenance.start_scheduled()
    assert [entry["schedule_id"] for entry in logs if entry["event"] == "schedule.failed"] == [str(broken)]
    assert set(session.scalars(select(Execution.schedule_id))) == set(others)
    row = session.get_one(WorkflowSchedule, broken, populate_existing=True)
    assert row.next_run_at == LONG_AGO - timedelta(hours=1)


def test_all_batches_are_handled(session: Session, sent: list[TaskMessage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "SCHEDULES", 1)
    owner = factories.user(session)
    ids = {scheduled(session, owner) for _ in range(3)}
    maintenance.start_scheduled()
    assert set(session.scalars(select(Execution.schedule_id))) == ids
