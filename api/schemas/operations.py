"""Schemas of health checks and webhooks."""

from marshmallow import fields

from api.schemas.base import OPTIONAL, Boolean, EnumText, Integer, Number, Out, String

STATES = ("up", "down")
OF_QUEUES = ("up", "late", "down", "paused")
OF_STRIPE = ("up", "late", "down", "unknown")
OF_PARTS = ("up", "late", "down", "paused", "full", "unresponsive", "gone", "unknown")


class LinksOut(Out):
    """Paths of the description and of the health checks, below the caller's mount point."""

    docs = String()
    openapi = String()
    health = String()
    ready = String()
    live = String()


class ServiceOut(Out):
    """Name, version and links of this service."""

    name = String()
    version = String()
    links = fields.Nested(LinksOut)


class DemoOut(Out):
    """The account that a service in development offers to everyone."""

    email = String()
    password = String()


class ClientConfigOut(Out):
    """The configuration for clients; without a publishable key no cards can be entered, only test cards, if at all."""

    name = String()
    version = String()
    stripe_publishable_key = String(allow_none=True)
    test_cards = Boolean()
    demo = fields.Nested(DemoOut, allow_none=True)


class StatusOut(Out):
    """The state of the service."""

    status = EnumText(STATES)


class QueueHealthOut(Out):
    """The number of workers of a queue, and the seconds since a probe went through it."""

    status = EnumText(OF_QUEUES)
    workers = Integer()
    probe_seconds = Number(allow_none=True)


class PartOut(Out):
    """The state of a part, and seconds since its last sign of life.

    Of `database`, `redis` and `broker`: since they last responded, null if they never did. Of `beat`: since its last
    message arrived. Of `queue.NAME`: the age of the oldest row that waits for a worker, null without any. Of
    `worker.N`: since it last reported. Of `reconciliation.KIND` and `backup`: since the last one, null if unknown.
    """

    status = EnumText(OF_PARTS)
    age_seconds = Number(allow_none=True)


class StripeHealthOut(Out):
    """Seconds since Stripe responded to a probe, the number of failing requests, and the age of the oldest event."""

    answered_seconds = Number(allow_none=True)
    failing_requests = Integer()
    oldest_event_seconds = Number(allow_none=True)


class HealthOut(Out):
    """The state of every part; those that are stored in the database are missing while it is unavailable."""

    status = EnumText(("up", "degraded", "down"))
    overall = EnumText(("up", "degraded", "down"))
    database = EnumText(STATES)
    redis = EnumText(STATES)
    broker = EnumText(STATES)
    stripe = EnumText(OF_STRIPE, metadata=OPTIONAL)
    stripe_details = fields.Nested(StripeHealthOut, metadata=OPTIONAL)
    beat = EnumText(STATES, metadata=OPTIONAL)
    queues = fields.Dict(keys=fields.String(), values=fields.Nested(QueueHealthOut), metadata=OPTIONAL)
    unresponsive_workers = Integer(metadata=OPTIONAL)
    failing_threads = Integer(metadata=OPTIONAL)
    parts = fields.Dict(keys=fields.String(), values=fields.Nested(PartOut))


class ReceivedOut(Out):
    """The event was stored."""

    received = Boolean()
