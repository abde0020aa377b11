"""For administrators: billing alerts, which need a decision by a person.

These routes are nested in `admin`, whose guard protects them.
"""

from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth.audit import record
from api.http.parsing import body, query, show
from api.http.session import db
from api.openapi import Page, describes
from api.schemas.accounts.accounts import NothingIn
from api.schemas.admin.admin import AlertOut
from api.schemas.base import PageQuery
from models.services.operations import alerts

bp = Blueprint("alerts", __name__)


@bp.get("/alerts")
@describes(response=Page("alerts", AlertOut, has_cursor=False), query=PageQuery)
def index() -> ResponseReturnValue:
    """List open alerts, oldest first."""
    args = query(PageQuery)
    rows = alerts.list_open(db(), limit=args["limit"], offset=args["offset"])
    shown = show(AlertOut, rows, many=True)
    return {"alerts": shown, "count": len(rows), "limit": args["limit"], "offset": args["offset"]}


@bp.post("/alerts/<uuid:alert_id>/resolve")
@describes(response=AlertOut, body=NothingIn, optional=True)
def resolve(alert_id: UUID) -> ResponseReturnValue:
    """Close an alert; a repeat changes nothing."""
    body(NothingIn, optional=True)
    alert, closed = alerts.resolve(db(), alert_id)
    if closed:
        record("alert.resolved", alert.user_id, alert=str(alert.id), kind=alert.kind)
    return show(AlertOut, alert)
