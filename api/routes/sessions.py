"""Where the caller is signed in, and what happened to their account."""

from uuid import UUID

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.auth import current_token, current_user, signed_in
from api.bodies import show
from api.deeds import record
from api.openapi import Page, describes
from api.paging import page, page_query
from api.schemas.base import PageQuery
from api.schemas.sessions import AuditOut, CurrentSessionOut, SessionOut
from api.session import db
from models.services import audit, sessions

bp = Blueprint("sessions", __name__, url_prefix="/auth")


@bp.get("/sessions")
@signed_in
@describes(answers=Page("sessions", CurrentSessionOut), asks=PageQuery)
def index() -> ResponseReturnValue:
    """The caller's sessions, newest first; `current` is the one that asks."""
    args = page_query(PageQuery)
    rows = sessions.list_owned(db(), current_user(), **args)
    shown = [{**show(SessionOut, row), "current": row.id == current_token().session_id} for row in rows]
    return page("sessions", shown, rows, args)


@bp.delete("/sessions/<uuid:session_id>")
@signed_in
@describes()
def delete(session_id: UUID) -> ResponseReturnValue:
    """End one of the caller's sessions."""
    sessions.end(db(), current_user().id, session_id)
    record("auth.session_ended", current_user().id, session=str(session_id))
    return Response(status=204)


@bp.delete("/sessions")
@signed_in
@describes()
def delete_others() -> ResponseReturnValue:
    """End all of the caller's sessions but the one that asks."""
    sessions.end_others(db(), current_user().id, kept=current_token().session_id)
    record("auth.other_sessions_ended", current_user().id)
    return Response(status=204)


@bp.get("/audit")
@signed_in
@describes(answers=Page("entries", AuditOut), asks=PageQuery)
def entries() -> ResponseReturnValue:
    """What was done to the caller's account, newest first."""
    args = page_query(PageQuery)
    rows = audit.entries(db(), subject=current_user().id, **args)
    return page("entries", show(AuditOut, rows, many=True), rows, args)
