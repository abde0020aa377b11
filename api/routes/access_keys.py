"""Access keys for programs: made, listed and revoked by people who are signed in."""

from uuid import UUID

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body, show
from api.deeds import record
from api.idempotency import idempotent, once_only
from api.openapi import Page, describes
from api.paging import page, page_query
from api.schemas.access_keys import AccessKeyIn, AccessKeyOut, NewAccessKeyOut
from api.schemas.base import PageQuery
from api.session import db
from models.services import access_keys

bp = Blueprint("access_keys", __name__, url_prefix="/access-keys")


@bp.get("")
@signed_in
@describes(answers=Page("accessKeys", AccessKeyOut), asks=PageQuery)
def index() -> ResponseReturnValue:
    """The caller's keys, newest first; the keys themselves are never shown again."""
    args = page_query(PageQuery)
    rows = access_keys.list_owned(db(), current_user().id, **args)
    return page("accessKeys", show(AccessKeyOut, rows, many=True), rows, args)


@bp.post("")
@signed_in
@idempotent
@describes(answers=NewAccessKeyOut, status=201, takes=AccessKeyIn, refuses=("access_key_limit_reached",))
def create() -> ResponseReturnValue:
    """Make a key, and show it this once."""
    row, secret = access_keys.create(db(), current_user().id, **body(AccessKeyIn))
    record("access_key.created", current_user().id, key=str(row.id), name=row.name)
    once_only("key")
    return {"accessKey": show(AccessKeyOut, row), "key": secret}, 201


@bp.delete("/<uuid:key_id>")
@signed_in
@describes()
def delete(key_id: UUID) -> ResponseReturnValue:
    """Revoke a key at once."""
    name = access_keys.delete(db(), current_user().id, key_id)
    record("access_key.deleted", current_user().id, key=str(key_id), name=name)
    return Response(status=204)
