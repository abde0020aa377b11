"""What administrators ask for and are shown."""

from marshmallow import fields, validate

from api.schemas.base import SOMETIMES, Count, Id, In, Number, Out, PageQuery, Text, Thing, Time, Truth, Word
from api.schemas.operations import OF_QUEUES
from models.reconciliation import Action, RunKind, RunStatus
from models.services.presence import Hearing


class RunsQuery(PageQuery):
    """Which runs of reconciliation."""

    kind = fields.String(load_default=None, validate=validate.OneOf([kind.value for kind in RunKind]))


class ReconciliationOut(Out):
    """One run; `repaired` counts what a dry run would have repaired."""

    id = Id()
    kind = Word(RunKind)
    status = Word(RunStatus)
    dry_run = Truth()
    since = Time()
    checked = Count()
    repaired = Count()
    reported = Count()
    failed = Count()
    error = Text(allow_none=True)
    created_at = Time()
    finished_at = Time(allow_none=True)


class FindingOut(Out):
    """One difference, and what became of it."""

    id = Id()
    check = Text()
    subject = Text()
    problem = Text()
    action = Word(Action)
    detail = Text()
    changes = Thing(allow_none=True)
    created_at = Time()


class CrashOut(Out):
    """A worker that vanished while it drove a run, and by when it had."""

    worker = Text()
    at = Time()


class DeadLetterOut(Out):
    """What nobody tries again by itself: an event of Stripe's (its content stays there), or a run that took its workers
    down."""

    kind = Word(("stripe_event", "execution"))
    id = Text()
    type = Text()
    reason = Text(allow_none=True)
    attempts = Count()
    created = Time()
    received_at = Time()
    crashes = fields.List(fields.Nested(CrashOut), allow_none=True)
    user_id = Id(allow_none=True)


class ReviveIn(In):
    """Of a run: which of its nodes with `sideEffects: once` may act again."""

    repeat = fields.List(fields.String(validate=validate.Length(max=64)), load_default=list)


class RevivedOut(Out):
    """What is tried afresh; of a run, the one that stands in its place."""

    id = Text()
    status = Text()
    execution_id = Id(metadata=SOMETIMES)


class WorkerOut(Out):
    """One worker process; `heardAt` is when the broker last brought it anything."""

    name = Text()
    process = Text()
    queues = fields.List(Text())
    status = Word(Hearing)
    started_at = Time()
    seen_at = Time()
    heard_at = Time()


class BusyWorkerOut(WorkerOut):
    """A worker process, and how many runs it drives."""

    running = Count()


class QueueOut(Out):
    """One queue: `depth` counts rows that wait, `messages` what the broker has."""

    name = Text()
    status = Word(OF_QUEUES)
    depth = Count()
    deferred = Count()
    messages = Count(allow_none=True)
    oldest_at = Time(allow_none=True)
    oldest_seconds = Number(allow_none=True)
    canary_seconds = Number(allow_none=True)
    workers = Count()
    deaf_workers = Count()
