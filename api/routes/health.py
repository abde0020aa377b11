"""Is it alive, may it be sent requests, and what does it depend on?"""

import redis
from flask import Blueprint
from flask.typing import ResponseReturnValue
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from models.db import SessionFactory
from settings import Settings


def blueprint(settings: Settings) -> Blueprint:
    """The routes, asking the broker that `settings` name."""
    bp = Blueprint("health", __name__, url_prefix="/health")
    broker = redis.Redis.from_url(
        settings.redis_url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
    )

    @bp.get("")
    def health() -> ResponseReturnValue:
        """What works and what does not; 503 when anything does not."""
        parts = {"database": _word(_database_answers()), "redis": _word(_redis_answers(broker))}
        overall = _word(set(parts.values()) == {"up"})
        return {"status": overall, "overall": overall, **parts}, 200 if overall == "up" else 503

    @bp.get("/live")
    def live() -> ResponseReturnValue:
        """The process answers."""
        return {"status": "up"}

    @bp.get("/ready")
    def ready() -> ResponseReturnValue:
        """Requests can be served: without Redis they can, because jobs are rows."""
        word = _word(_database_answers())
        return {"status": word}, 200 if word == "up" else 503

    return bp


def _word(works: bool) -> str:
    return "up" if works else "down"


def _database_answers() -> bool:
    try:
        with SessionFactory() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True


def _redis_answers(broker: redis.Redis) -> bool:
    try:
        return bool(broker.ping())
    except redis.RedisError:
        return False
