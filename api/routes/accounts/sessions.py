"""The caller's sessions, and the audit log of their account."""

from uuid import UUID

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.auth.audit import record
from api.auth.authenticate import current_token, current_user, signed_in
from api.http.paging import page, page_query
from api.http.parsing import show
from api.http.session import db
from api.openapi import Page, describes
from api.schemas.accounts.sessions import AuditOut, CurrentSessionOut, SessionOut
from api.schemas.base import PageQuery
from models.services.accounts import sessions
from models.services.operations import audit

bp = Blueprint("sessions", __name__, url_prefix="/auth")


@bp.get("/sessions")
@signed_in
@describes(response=Page("sessions", CurrentSessionOut), query=PageQuery)
def index() -> ResponseReturnValue:
    """List the caller's sessions, newest first; `current` marks the session of this request."""
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
    """End all of the caller's sessions except the one of this request."""
    sessions.end_others(db(), current_user().id, kept=current_token().session_id)
    record("auth.other_sessions_ended", current_user().id)
    return Response(status=204)


@bp.get("/audit")
@signed_in
@describes(response=Page("entries", AuditOut), query=PageQuery)
def entries() -> ResponseReturnValue:
    """List the audit log of the caller's account, newest first."""
    args = page_query(PageQuery)
    rows = audit.entries(db(), subject=current_user().id, **args)
    return page("entries", show(AuditOut, rows, many=True), rows, args)
