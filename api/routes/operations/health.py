"""Health checks: liveness, readiness, and the state of every dependency."""

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from api.http.parsing import show
from api.openapi import describes
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
    bp = Blueprint("health", __name__, url_prefix="/health")

    @bp.get("")
    @describes(response=HealthOut, other_responses={503: HealthOut})
    def health() -> ResponseReturnValue:
        """Get the state of every part; 503 if one is down. `degraded` means that all work, but one needs attention."""
        stored = _stored_state()
        parts = {"database": _state(stored is not None), "redis": _state(broker.redis_is_up())}
        parts["broker"] = _state(broker.is_up())
        if stored is not None:
            workers, stripe, failing = stored
            parts |= {"beat": _state(workers.beat_is_up), **_jobs(workers), **_stripe(stripe)}
            parts["failingThreads"] = failing
        overall = _overall(parts)
        return {"status": overall, "overall": overall, **parts}, 503 if overall == "down" else 200

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


def _stored_state() -> tuple[WorkersOverview, StripeStatus, int] | None:
    """The state of workers and Stripe and the number of failing threads; None while the database is unavailable."""
    try:
        with SessionFactory() as session:
            overview = worker_heartbeats.overview(session, QueueName)
            return overview, stripe_status.stripe_status(session), thread_failures.failing(session)
    except SQLAlchemyError:
        return None
