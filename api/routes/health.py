"""Is it alive, may it be sent requests, and how is everything that it depends on?"""

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.broker import Broker
from api.openapi import describes
from api.schemas.operations import HealthOut, StatusOut
from models.db import SessionFactory
from models.services import presence
from models.services.presence import Presence
from tasks.queue import QueueName


def blueprint(broker: Broker) -> Blueprint:
    """The routes, asking the database and `broker`."""
    bp = Blueprint("health", __name__, url_prefix="/health")

    @bp.get("")
    @describes(answers=HealthOut, also={503: HealthOut})
    def health() -> ResponseReturnValue:
        """What works and what does not; 503 when anything does not. `degraded`: it works, but somebody should look."""
        seen = _presence()
        parts = {"database": _word(seen is not None), "redis": _word(broker.answers())}
        if seen is not None:
            parts |= {"beat": _word(seen.beat_is_up), **_jobs(seen)}
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
    """The worst of all parts."""
    queues = [queue["status"] for queue in parts.get("queues", {}).values()]
    words = [*queues, *(word for word in parts.values() if isinstance(word, str))]
    if "down" in words:
        return "down"
    return "degraded" if "late" in words or parts.get("deafWorkers") else "up"


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


def _word(works: bool) -> str:
    return "up" if works else "down"


def _presence() -> Presence | None:
    """None while the database is away."""
    try:
        with SessionFactory() as session:
            return presence.overview(session, QueueName)
    except SQLAlchemyError:
        return None


def _database_answers() -> bool:
    try:
        with SessionFactory() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True
