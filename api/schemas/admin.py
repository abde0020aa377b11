"""What administrators ask for and are shown."""

from marshmallow import fields, validate

from api.schemas.base import Out, PageQuery, Plain
from models.reconciliation import RunKind


class RunsQuery(PageQuery):
    """Which runs of reconciliation."""

    kind = fields.String(load_default=None, validate=validate.OneOf([kind.value for kind in RunKind]))


class RunOut(Out):
    """One run; `repaired` counts what a dry run would have repaired."""

    id = Plain()
    kind = Plain()
    status = Plain()
    dry_run = Plain()
    since = Plain()
    checked = Plain()
    repaired = Plain()
    reported = Plain()
    failed = Plain()
    error = Plain()
    created_at = Plain()
    finished_at = Plain()


class FindingOut(Out):
    """One difference, and what became of it."""

    id = Plain()
    check = Plain()
    subject = Plain()
    problem = Plain()
    action = Plain()
    detail = Plain()
    changes = Plain()
    created_at = Plain()


class DeadLetterOut(Out):
    """An event of Stripe's that was given up; its content stays at Stripe."""

    id = Plain()
    type = Plain()
    reason = Plain(attribute="error")
    attempts = Plain()
    created = Plain()
    received_at = Plain()


class WorkerOut(Out):
    """One worker process; `heardAt` is when the broker last brought it anything."""

    name = Plain()
    process = Plain()
    queues = Plain()
    status = Plain()
    started_at = Plain()
    seen_at = Plain()
    heard_at = Plain()
