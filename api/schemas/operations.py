"""What is shown to the machines that watch us and that tell us things."""

from marshmallow import fields

from api.schemas.base import SOMETIMES, Count, Number, Out, Truth, Word

STATES = ("up", "down")
OF_QUEUES = ("up", "late", "down")
OF_STRIPE = ("up", "late", "down", "unknown")


class StatusOut(Out):
    """Whether it works."""

    status = Word(STATES)


class QueueHealthOut(Out):
    """Who takes jobs from a queue, and how long ago one came through for sure."""

    status = Word(OF_QUEUES)
    workers = Count()
    canary_seconds = Number(allow_none=True)


class StripeHealthOut(Out):
    """How long ago Stripe answered a probe, how many requests it left unanswered, and the oldest event's age."""

    answered_seconds = Number(allow_none=True)
    failing_requests = Count()
    oldest_event_seconds = Number(allow_none=True)


class HealthOut(Out):
    """What works and what does not; what the database knows is missing while it is away."""

    status = Word(("up", "degraded", "down"))
    overall = Word(("up", "degraded", "down"))
    database = Word(STATES)
    redis = Word(STATES)
    stripe = Word(OF_STRIPE, metadata=SOMETIMES)
    stripe_details = fields.Nested(StripeHealthOut, metadata=SOMETIMES)
    beat = Word(STATES, metadata=SOMETIMES)
    queues = fields.Dict(keys=fields.String(), values=fields.Nested(QueueHealthOut), metadata=SOMETIMES)
    deaf_workers = Count(metadata=SOMETIMES)


class ReceivedOut(Out):
    """An event was kept."""

    received = Truth()
