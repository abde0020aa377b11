"""Exports of all data of an account: requested, built by a worker, downloaded by the link in a mail."""

from collections.abc import Iterator
from uuid import UUID

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.auth.audit import record
from api.auth.authenticate import current_user, signed_in
from api.http.parsing import body, query
from api.http.session import db
from api.openapi import describes
from api.schemas.accounts.accounts import NothingIn
from api.schemas.accounts.data_exports import ExportOut, LinkQuery
from api.schemas.base import String
from models.db import session_scope
from models.services.accounts import data_exports
from tasks.queue import TaskName, enqueue

bp = Blueprint("data_exports", __name__, url_prefix="/auth/export")


@bp.post("")
@signed_in
@describes(response=ExportOut, status=202, body=NothingIn, optional=True, errors=("export_limit_reached",))
def ask() -> ResponseReturnValue:
    """Request an export of all of the caller's data; its link comes by mail."""
    body(NothingIn, optional=True)
    row = data_exports.request_export(db(), current_user().id)
    record("auth.data_exported", current_user().id)
    enqueue(db(), TaskName.BUILD_EXPORT, export_id=row.id)
    return {"id": row.id, "message": "Your data is being collected. A link to it comes by mail."}, 202


@bp.get("/<uuid:export_id>")
@describes(response=String(), media="application/zip", query=LinkQuery)
def fetch(export_id: UUID) -> ResponseReturnValue:
    """Download the ZIP of an export, by the link in the mail, which works for a week."""
    size = data_exports.open_link(db(), export_id, query(LinkQuery)["token"])
    headers = {
        "Content-Disposition": 'attachment; filename="agentforge-data.zip"',
        "Content-Length": str(size),
        "Referrer-Policy": "no-referrer",
    }
    return Response(_pieces(export_id), mimetype="application/zip", headers=headers)


def _pieces(export_id: UUID) -> Iterator[bytes]:
    """Read the file in pieces, each in its own transaction, so that a slow client holds no transaction open."""
    number = 0
    while True:
        with session_scope() as session:
            piece = data_exports.part(session, export_id, number)
        if piece is None:
            return
        yield piece
        number += 1
