"""Is it alive, may it be sent requests, and how is everything that it depends on?"""

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.bodies import show
from api.broker import Broker
from api.openapi import describes
from api.schemas.operations import HealthOut, StatusOut, StripeHealthOut
from models.db import SessionFactory
from models.services import presence, stripe_health
from models.services.presence import Presence
from models.services.stripe_health import StripeStanding
from tasks.queue import QueueName


def blueprint(broker: Broker) -> Blueprint:
    """The routes, asking the database and `broker`."""
    bp = Blueprint("health", __name__, url_prefix="/health")

    @bp.get("")
    @describes(answers=HealthOut, also={503: HealthOut})
    def health() -> ResponseReturnValue:
        """What works and what does not; 503 when anything does not. `degraded`: it works, but somebody should look."""
        seen = _known()
        parts = {"database": _word(seen is not None), "redis": _word(broker.answers())}
        if seen is not None:
            workers, stripe = seen
            parts |= {"beat": _word(workers.beat_is_up), **_jobs(workers), **_stripe(stripe)}
        overall = _overall(parts)
        return {"status": overall, "overall": overall, **parts}, 503 if overall == "down" else 200

    @bp.get("/live")
    @describes(answers=StatusOut)
    def live() -> ResponseReturnValue:
        """The process answers."""
        return {"status": "up"}

    @bp.get("/ready")
    @describes(answers=StatusOut, also={503: StatusOut})
    def ready() -> ResponseReturnValue:
        """Requests can be served: without Redis and without workers they can, because jobs are rows."""
        word = _word(_database_answers())
        return {"status": word}, 200 if word == "up" else 503

    return bp


def _overall(parts: dict[str, Any]) -> str:
    """The worst of all parts; while Stripe is away we go on, and what concerns it waits."""
    queues = [queue["status"] for queue in parts.get("queues", {}).values()]
    words = [*queues, *(parts[name] for name in ("database", "redis", "beat") if name in parts)]
    if "down" in words:
        return "down"
    is_troubled = "late" in words or parts.get("deafWorkers") or parts.get("stripe") in ("late", "down")
    return "degraded" if is_troubled else "up"


def _jobs(seen: Presence) -> dict[str, Any]:
    """Who takes jobs; no names, because everybody may ask."""
    queues = {
        queue.name: {
            "status": queue.status,
            "workers": queue.workers,
            "canarySeconds": None if queue.canary_seconds is None else round(queue.canary_seconds, 1),
        }
        for queue in seen.queues
    }
    return {"queues": queues, "deafWorkers": seen.deaf}


def _stripe(standing: StripeStanding) -> dict[str, Any]:
    """Told apart from the word, which is all that most want to know."""
    return {"stripe": standing.status, "stripeDetails": show(StripeHealthOut, standing)}


def _word(works: bool) -> str:
    return "up" if works else "down"


def _known() -> tuple[Presence, StripeStanding] | None:
    """None while the database is away."""
    try:
        with SessionFactory() as session:
            return presence.overview(session, QueueName), stripe_health.standing(session)
    except SQLAlchemyError:
        return None


def _database_answers() -> bool:
    try:
        with SessionFactory() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True
