"""Schemas of reconciliation, alerts, dead letters, queues and workers for administrators."""

from marshmallow import fields, validate

from api.schemas.base import (
    OPTIONAL,
    Boolean,
    EnumText,
    Id,
    In,
    Integer,
    Items,
    JsonObject,
    Number,
    Out,
    PageQuery,
    String,
    Time,
)
from api.schemas.operations import OF_QUEUES
from models.services.operations.worker_heartbeats import WorkerStatus
from models.tables import Action, RunKind, RunStatus


class RunsQuery(PageQuery):
    """Filters of reconciliation runs."""

    kind = fields.String(load_default=None, validate=validate.OneOf([kind.value for kind in RunKind]))


class ReconciliationOut(Out):
    """A run of reconciliation; in a dry run, `repaired` counts the findings that it would repair."""

    id = Id()
    kind = EnumText(RunKind)
    status = EnumText(RunStatus)
    dry_run = Boolean()
    since = Time()
    checked = Integer()
    repaired = Integer()
    reported = Integer()
    failed = Integer()
    error = String(allow_none=True)
    created_at = Time()
    finished_at = Time(allow_none=True)


class FindingOut(Out):
    """A difference between the database and Stripe, and the action that was taken."""

    id = Id()
    check = String()
    subject = String()
    problem = String()
    action = EnumText(Action)
    detail = String()
    changes = JsonObject(allow_none=True)
    created_at = Time()


class AlertOut(Out):
    """A billing problem for a person to decide; `subject` is the id of an object, Stripe's or ours."""

    id = Id()
    kind = String()
    subject = String()
    user_id = Id(allow_none=True)
    detail = String()
    data = JsonObject(allow_none=True)
    created_at = Time()
    resolved_at = Time(allow_none=True)


class CrashOut(Out):
    """A worker that vanished while it drove the run, and when that was noticed."""

    worker = String()
    at = Time()


class DeadLetterOut(Out):
    """A dead letter: a Stripe event (without its content), or a run that crashed its workers."""

    kind = EnumText(("stripe_event", "execution"))
    id = String()
    type = String()
    reason = String(allow_none=True)
    attempts = Integer()
    created = Time()
    received_at = Time()
    crashes = fields.List(fields.Nested(CrashOut), allow_none=True)
    user_id = Id(allow_none=True)


class RetryDeadLetterIn(In):
    """For a run: the ids of its nodes with `sideEffects: once` that may be executed again."""

    repeat = Items(fields.String(validate=validate.Length(max=64)), max_items=5_000, load_default=list)


class RetriedDeadLetterOut(Out):
    """The retried dead letter; for a run, `executionId` is the new run."""

    id = String()
    status = String()
    execution_id = Id(metadata=OPTIONAL)


class WorkerOut(Out):
    """A worker process; `lastMessageAt` is when it last received a message from the broker."""

    name = String()
    process = String()
    queues = fields.List(String())
    status = EnumText(WorkerStatus)
    started_at = Time()
    seen_at = Time()
    last_message_at = Time()


class BusyWorkerOut(WorkerOut):
    """A worker process and the number of runs that it drives."""

    running = Integer()


class QueueOut(Out):
    """A queue: `depth` counts waiting rows, `messages` counts messages in the broker."""

    name = String()
    status = EnumText(OF_QUEUES)
    depth = Integer()
    deferred = Integer()
    messages = Integer(allow_none=True)
    oldest_at = Time(allow_none=True)
    oldest_seconds = Number(allow_none=True)
    probe_seconds = Number(allow_none=True)
    workers = Integer()
    unresponsive_workers = Integer()
