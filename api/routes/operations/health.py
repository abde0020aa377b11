"""Health checks: liveness, readiness, and the state of every dependency."""

from typing import Any, NamedTuple

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from api.http.parsing import show
from api.openapi import describes
from api.ops import health_parts
from api.ops.health_parts import LastResponses, Part
from api.ops.readiness import Readiness
from api.schemas.operations import HealthOut, StatusOut, StripeHealthOut
from models.db import SessionFactory
from models.services.operations import thread_failures, worker_heartbeats
from models.services.operations.worker_heartbeats import WorkersOverview
from models.services.stripe import stripe_status
from models.services.stripe.stripe_status import StripeStatus
from tasks.probes.broker import BrokerProbe
from tasks.queue import QueueName


def blueprint(broker: BrokerProbe, readiness: Readiness) -> Blueprint:
    """Build the routes, which check the database, `broker` and `readiness`."""
    bp, responses = Blueprint("health", __name__, url_prefix="/health"), LastResponses()

    @bp.get("")
    @describes(response=HealthOut, other_responses={503: HealthOut})
    def health() -> ResponseReturnValue:
        """Get the state of every part; 503 if one is down. `degraded` means that all work, but one needs attention."""
        stored = _stored_state()
        servers = {"database": stored is not None, "redis": broker.redis_is_up(), "broker": broker.is_up()}
        named = {name: responses.note(name, responds=responds) for name, responds in servers.items()}
        parts: dict[str, Any] = {name: _state(responds) for name, responds in servers.items()}
        if stored is not None:
            parts, named = parts | _said(stored), named | stored.parts
        overall = _overall(parts)
        body = {"status": overall, "overall": overall, **parts, "parts": health_parts.as_json(named)}
        return body, 503 if overall == "down" else 200

    @bp.get("/live")
    @describes(response=StatusOut)
    def live() -> ResponseReturnValue:
        """Check that the process responds."""
        return {"status": "up"}

    @bp.get("/ready")
    @describes(response=StatusOut, other_responses={503: StatusOut})
    def ready() -> ResponseReturnValue:
        """Check that requests can be served, which needs the database, but neither Redis nor workers."""
        state = _state(readiness.is_ready())
        return {"status": state}, 200 if state == "up" else 503

    return bp


class _Stored(NamedTuple):
    """What the database says of the other parts."""

    workers: WorkersOverview
    stripe: StripeStatus
    failing_threads: int
    parts: dict[str, Part]


def _overall(parts: dict[str, Any]) -> str:
    """The worst state of all parts; without Stripe the service is only degraded, because requests to Stripe wait."""
    queues = [queue["status"] for queue in parts.get("queues", {}).values()]
    states = [*queues, *(parts[name] for name in ("database", "redis", "broker", "beat") if name in parts)]
    if "down" in states:
        return "down"
    is_degraded = (
        not {"late", "paused"}.isdisjoint(states)
        or parts.get("unresponsiveWorkers")
        or parts.get("failingThreads")
        or parts.get("stripe") in ("late", "down")
    )
    return "degraded" if is_degraded else "up"


def _said(stored: _Stored) -> dict[str, Any]:
    beat = {"beat": _state(stored.workers.beat_is_up)}
    return {**beat, **_jobs(stored.workers), **_stripe(stored.stripe), "failingThreads": stored.failing_threads}


def _jobs(overview: WorkersOverview) -> dict[str, Any]:
    """The state of queues and workers, without the workers' names, because this route is public."""
    queues = {
        queue.name: {
            "status": queue.status,
            "workers": queue.workers,
            "probeSeconds": None if queue.probe_seconds is None else round(queue.probe_seconds, 1),
        }
        for queue in overview.queues
    }
    return {"queues": queues, "unresponsiveWorkers": overview.unresponsive}


def _stripe(status: StripeStatus) -> dict[str, Any]:
    """The state of Stripe as a word like that of the other parts, and its details beside it."""
    return {"stripe": status.status, "stripeDetails": show(StripeHealthOut, status)}


def _state(works: bool) -> str:
    return "up" if works else "down"


def _stored_state() -> _Stored | None:
    """The state of what the database knows of; None while it is unavailable."""
    try:
        with SessionFactory() as session:
            overview = worker_heartbeats.overview(session, QueueName)
            stripe, failing = stripe_status.stripe_status(session), thread_failures.failing(session)
            return _Stored(overview, stripe, failing, health_parts.stored(session, overview))
    except SQLAlchemyError:
        return None
