"""Access keys for programs: created, listed and revoked by signed-in users."""

from uuid import UUID

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.auth.audit import record
from api.auth.authenticate import current_user, signed_in
from api.auth.second_factor import CHANGE_CODES, check_change
from api.http.paging import page, page_query
from api.http.parsing import body, show
from api.http.session import db
from api.jobs.idempotency import idempotent, once_only
from api.openapi import Page, describes
from api.schemas.accounts.access_keys import AccessKeyIn, AccessKeyOut, NewAccessKeyOut
from api.schemas.base import PageQuery
from models.services.accounts import access_keys

bp = Blueprint("access_keys", __name__, url_prefix="/access-keys")


@bp.get("")
@signed_in
@describes(response=Page("accessKeys", AccessKeyOut), query=PageQuery)
def index() -> ResponseReturnValue:
    """List the caller's access keys, newest first, without the keys themselves."""
    args = page_query(PageQuery)
    rows = access_keys.list_owned(db(), current_user().id, **args)
    return page("accessKeys", show(AccessKeyOut, rows, many=True), rows, args)


@bp.post("")
@signed_in
@idempotent
@describes(response=NewAccessKeyOut, status=201, body=AccessKeyIn, errors=("access_key_limit_reached", *CHANGE_CODES))
def create() -> ResponseReturnValue:
    """Create an access key. The response is the only one that shows it."""
    args = body(AccessKeyIn)
    check_change()
    row, secret = access_keys.create(db(), current_user().id, **args)
    record("access_key.created", current_user().id, key=str(row.id), name=row.name)
    once_only("key")
    return {"accessKey": show(AccessKeyOut, row), "key": secret}, 201


@bp.delete("/<uuid:key_id>")
@signed_in
@describes(errors=CHANGE_CODES)
def delete(key_id: UUID) -> ResponseReturnValue:
    """Revoke an access key at once."""
    check_change()
    name = access_keys.delete(db(), current_user().id, key_id)
    record("access_key.deleted", current_user().id, key=str(key_id), name=name)
    return Response(status=204)
