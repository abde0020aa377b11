"""Usage that clients report, and statistics of the caller's usage."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.parsing import body, query, show
from api.http.session import db, reads_replica
from api.jobs.idempotency import idempotent
from api.openapi import describes
from api.schemas.executions.usage import ChargeOut, StatsOut, StatsQuery, UsageIn
from models.services.credits.quotas import quotas
from models.services.workflows import usage

bp = Blueprint("usage", __name__)


@bp.post("/usage/track")
@bp.post("/credits/usage/track")
@signed_in
@idempotent
@describes(response=ChargeOut, body=UsageIn, errors=("insufficient_credits",))
def track() -> ResponseReturnValue:
    """Charge the caller for usage outside of runs."""
    return show(ChargeOut, usage.track(db(), current_user(), **body(UsageIn)))


@bp.get("/usage/stats")
@signed_in
@describes(response=StatsOut, query=StatsQuery)
@reads_replica
def stats() -> ResponseReturnValue:
    """Get statistics of the caller's runs and credits."""
    found = usage.stats(db(), current_user(), **query(StatsQuery))
    return show(StatsOut, {**vars(found), "allowances": quotas(db(), current_user())})
