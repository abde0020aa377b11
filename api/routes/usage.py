"""Usage that clients report, and statistics of one's own."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body, query, show
from api.idempotency import idempotent
from api.openapi import describes
from api.schemas.usage import ChargeOut, StatsOut, StatsQuery, UsageIn
from api.session import db
from models.services import usage
from models.services.allowances import allowances

bp = Blueprint("usage", __name__)


@bp.post("/usage/track")
@bp.post("/credits/usage/track")
@signed_in
@idempotent
@describes(answers=ChargeOut, takes=UsageIn, refuses=("insufficient_credits", "not_found"))
def track() -> ResponseReturnValue:
    """Charge usage that happened outside of a run."""
    return show(ChargeOut, usage.track(db(), current_user(), **body(UsageIn)))


@bp.get("/usage/stats")
@signed_in
@describes(answers=StatsOut, asks=StatsQuery)
def stats() -> ResponseReturnValue:
    """What the caller's runs and credits add up to."""
    found = usage.stats(db(), current_user(), **query(StatsQuery))
    return show(StatsOut, {**vars(found), "allowances": allowances(db(), current_user())})
